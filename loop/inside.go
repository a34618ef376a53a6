//go:build linux

package loop

// Inside is what package restart does with a loop and no program needs: to write its
// connections down and take them over, hand them to another process, and end them in
// order. Its methods are for the loop's goroutine, or before Run, unless they say
// otherwise.
type Inside struct{ l *Loop }

// Inside is for package restart.
func (l *Loop) Inside() Inside { return Inside{l} }

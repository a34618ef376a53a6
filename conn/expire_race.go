//go:build race

package conn

// poison overwrites what has become invalid, so that a test under the race
// detector shows a View that was kept.
func poison(parts ...[]byte) {
	for _, p := range parts {
		for i := range p {
			p[i] = 0xdb
		}
	}
}

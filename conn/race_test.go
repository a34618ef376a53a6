//go:build race

package conn

// raceEnabled says that the race detector is on: it allocates itself.
const raceEnabled = true

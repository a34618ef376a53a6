//go:build linux && !race

package files

// raceDetector is off.
const raceDetector = false

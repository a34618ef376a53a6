//go:build linux && race

package files

// raceDetector is on. It allocates for itself, so what is allocated is not counted.
const raceDetector = true

//go:build !race

package httpparse

const raceDetector = false

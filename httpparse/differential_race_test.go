//go:build race

package httpparse

// raceDetector makes everything some ten times slower: fewer requests are played.
const raceDetector = true

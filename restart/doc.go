// Package restart is leaving and coming back.
//
// It knows how this process was started. So far it can start the same again, in
// its place: see [Exec].
package restart

//go:build linux

package restart

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"catboat/loop"
)

// notify tells the service manager how the program is (sd_notify(3)), if there is one.
// It does not wait: a manager that does not listen is nobody's fault here.
func notify(lines ...string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	c.Write([]byte(strings.Join(lines, "\n")))
}

// reloading is what is said when a restart begins.
func reloading() {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// keepWatchdog lets the loop say that it lives, twice as often as the service manager
// wants to hear it (sd_watchdog_enabled(3)).
func keepWatchdog(l *loop.Loop) {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return
	}
	var alive func()
	alive = func() {
		notify("WATCHDOG=1")
		l.After(time.Duration(usec)*time.Microsecond/2, alive)
	}
	alive()
}

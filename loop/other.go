//go:build !linux

package loop

var _ = catboat_loop_needs_Linux // for epoll(7), accept4(2), eventfd(2) and timerfd_create(2)

//go:build !unix

package attempt

// glance can't look here. A connection that the receiver closed costs a second
// try then.
func glance(uintptr, []byte) sight { return quiet }

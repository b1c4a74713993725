// Package replay delivers stored events again.
//
// A replay makes further routings of events, see [store.Routing.Again]: their
// deliveries have ids of their own, are due at once, and are out of order. Each
// keeps the webhook-id of the first delivery by the same route, so that a receiver
// that deduplicates takes no harm, unless new ones are asked for.
//
// # What holds in bulk
//
// A bulk replay goes through a stretch of the log once, in order. How far it is, is
// a document, and the record that makes routings of some events carries the document
// as it is after the last of them. So both become true together: a crash at any
// moment neither leaves an event out nor replays one twice. What keeps it so:
//
//  1. One goroutine, [Set.Run], makes the routings, of one replay after another.
//  2. A document is changed from the one before, and only while the lock is held: a
//     cancel and a step do not cross.
//  3. After a commit of which it is not known what it left, the document is read
//     again before anything else is made.
package replay

// Package replay delivers stored events again.
//
// A replay makes further routings of events, see [store.Routing.Again]: their
// deliveries have ids of their own, are due at once, and are out of order. Each
// keeps the webhook-id of the first delivery by the same route, so that a receiver
// that deduplicates takes no harm, unless new ones are asked for.
package replay

// Package badger keeps a [store.Store] in one folder, which one process has open:
// events in segments (package segment), and all else in a Badger database.
//
// # Invariants
//
//   - One goroutine, the committer, makes all writes. It takes whatever waits,
//     validates each record against the state that the ones before it left, puts
//     the events of all that are valid into the segments and the rest into one
//     transaction, and answers each record after its flush. One record's fault is no
//     other's. Nobody waits for a group to fill up.
//   - An event is there when its segment is flushed. The rows that find it (type, id,
//     alias, bucket) follow with the next transaction, or when 4096 events are pending.
//     Until then they are in memory, where all that looks for events finds them, and a
//     start makes them anew. Row S says up to which event there are rows; a transaction
//     takes along all that are pending, so no row is of an event that has none.
//   - Retention finds nothing pending: it begins behind a transaction.
//   - A record that has events and other things puts its events into the segments
//     first, in a group that says so, and the rest into a transaction that says of
//     these events that they have rows. Where a start finds the group to be the last and
//     without rows, nobody was answered, and it takes the group away.
//   - What memory says (last, progress, lanes, buckets) is published after the
//     flush, and follows from the rows: Open rebuilds it. A read takes what memory
//     says first and its snapshot of the rows second, so that rows are never
//     older than memory.
//   - After a flush that failed nothing is known, so every later commit is
//     refused with that failure. Opening the store again tells what is there.
//   - The clock of retention is Options.Now and the received time of events;
//     Badger's own expiry, which knows only the real clock, decides nothing but
//     when the memory of an id outlives its event.
//   - Every row carries a checksum over its key and value, and every event one over
//     its position and bytes. What does not match it is an error that names it, never
//     data.
//   - A bucket begins a segment, and segments go when their bucket has gone, after
//     the transaction that says so. Who reads an event that is gone from its segment
//     looks anew where it is: kept aside, or nowhere.
//
// # Keys
//
// Numbers are big-endian; pos is 8 bytes and index 4, a reference both; string
// is its length in 2 bytes and its bytes. What retention takes begins with B and
// a bucket: the minute in which a stretch of time began (4 bytes). A stretch is
// retention/168 long, an hour by default, and at least a minute. Positions of a
// bucket are contiguous and the table of buckets is small, so a position's
// bucket is found in memory. Bucket 0 holds, aside, events older than retention
// of which a delivery is unfinished: everything before the position in row M. Layouts 1
// and 2 had all events in rows; those are read there until retention takes them.
//
//	B bucket 'e' pos              event that is aside, or of layout 1 or 2
//	B bucket 'r' pos              what routing decided for it, deliveries included,
//	                              where it is large or was added to
//	B bucket 'g' pos              the same for all positions of a stretch, by the
//	                              last; a row 'r' counts instead
//	B bucket 'c' pos number4      data of a message made by a plugin, where all of
//	                              an event's are too much for one row
//	B bucket 't' string pos       positions of one type of some commits, by the last
//	B bucket 'v' ref              delivery that failed, was born dead or retrying,
//	                              or was cancelled: state and all attempts
//	B bucket 'h' string ref       history: what a lane delivered or cancelled, with
//	                              the attempt of those delivered at the first try;
//	                              by the last reference, and within one stretch
//	                              of 4096 positions
//	b bucket                      first position of a bucket
//	d string string               document, by kind and name
//	i string string string        id, source, scope: position of the event that has
//	                              an id that its producer gave
//	l string                      lane: cursor and counts, written when they change
//	                              but for postings
//	M                             oldest position not aside, and received time of
//	                              the newest event taken
//	p string ref                  postings of one lane of one commit, by the last,
//	                              with the count of all up to it
//	n                             copies of the newest events that have their rows
//	S                             first position that is in segments, and the last one
//	                              that has rows
//	V                             version of this layout
//	x string state1 ref           dead (d) and retrying (r) deliveries of a lane
//	y string due8 ref             retries of a lane by due time; behind all times,
//	                              by its key, what is parked behind another
//	z                             padding, see endLog
//
// A delivery has no row when it waits, and none when it was delivered at its
// first try: a posting at or after its lane's cursor waits, one that the cursor
// has settled and that has no row was delivered. Chunks of postings that are
// settled whole are deleted, and reading starts at the cursor, so finished work
// is never read to find what is left. The same holds for retries: the due time
// of the first is kept in memory.
//
// A value longer than 512 KiB goes on in rows with a number (2 bytes) behind
// its key, because Badger would put longer ones into its value log, whose flush
// it does not check.
//
// # Disk
//
// Badger maps sparse files and writes through the map: a write that finds no
// block is SIGBUS, and the end of the process. So:
//
//   - The log in use and the next one, which is there as a file without a byte,
//     have all their blocks before Badger writes to them. A commit that may need
//     more than that is refused with store.ErrFull, whatever is in it.
//   - weir.reserve holds blocks for a flush and a compaction. Where Badger meets a
//     full disk all the same, the handler of SIGBUS gives a MiB of it back and the
//     write is tried again (Linux on amd64; elsewhere the reserve is given back
//     before a flush).
//   - Compactions stop while there is less free space than they may need, and
//     events are refused from then, or from Options.MinFree on, once what is under
//     way has ended.
//   - Open gives the log in use its blocks, from the reserve where it must, and
//     fails with the figures where even that is too little.
//   - A segment has its blocks before it is written to, 8 MiB at a time. Where there are
//     none an event is refused with store.ErrFull, and its segment is as it was.
//
// Room is looked at before each commit and ten times a second, so that all of it
// goes on by itself when space returns.
//
// # Goroutines
//
// Open starts three, and Close ends and waits for each:
//
//   - the committer makes all writes, retention's included, and ends when its queue
//     is closed and empty,
//   - room.keep takes space, stops and starts compactions and notes in weir.store
//     what there is, ten times a second, until the committer has ended,
//   - scrub reads all tables and complete segments once.
//
// What the committer and room.keep share is guarded by room.mu, and the lock of the
// compactions' switch is taken within it. Badger's own goroutines flush and compact.
//
// # Damage
//
// Badger cuts its log off at the first entry that it can't read, takes a manifest
// that ends early for a whole one, and panics on tables that were cut. So Open
// looks first: a log may be torn only at its end, and not before whole entries of
// a later transaction; a manifest must name what weir.store noted; tables must be
// there, with an index and a last block that match their checksums, and so must be all
// blocks of the newest ones, see checkedFirst: one that is damaged can make Badger end
// the process. The rest of the tables is read in the background. What is wrong is ErrDamaged and names the
// file. Of the segments the newest is read whole and may be torn in its last group; the
// others must have an end that matches its checksum, one must follow the other, and the
// last must have what row S says, or be mended by row n.
package badger

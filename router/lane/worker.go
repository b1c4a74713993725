package lane

const (
	// waitingWorkers is how many workers are kept while they have no lane: the stack
	// of a new goroutine has to grow in each of its first attempts.
	waitingWorkers = 64
	// workersMost bounds the workers of all lanes together, and so the attempts in
	// flight and what they hold.
	workersMost = 4096
)

// worker is a goroutine that works for one lane after another. It is told each by
// this channel, which has room for one.
type worker chan *lane

// While workers are plenty a lane has as many as its concurrency. Of the
// last quarter a lane gets its first only, so that lanes whose receivers hang leave
// some for each of the others. When there are none left, lanes without a worker wait
// in line, and a worker goes to the next of the line after each attempt: a lane with
// one worker goes to the end of the line then. So each lane that has work gets the
// same share, however much it has and however long its line is.

// employ gives a lane one more worker, unless the set is stopping or there are too
// many. Callers hold the lane's mu.
func (s *Set) employ(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped.Load():
		return false
	case l.workers > 0 && s.employed >= s.workersMost/4*3:
		return false
	case s.employed >= s.workersMost:
		s.queue(l)
		return false
	}
	s.employed++
	s.running.Add(1)
	if n := len(s.waiting); n > 0 {
		w := s.waiting[n-1]
		s.waiting = s.waiting[:n-1]
		w <- l
		return true
	}
	w := make(worker, 1)
	w <- l
	s.pool.Go(func() { s.work(w) })
	return true
}

// queue puts a lane at the end of the line. Callers hold the set's mu.
func (s *Set) queue(l *lane) {
	if l.queued {
		return
	}
	l.queued = true
	s.line = append(s.line, l)
	s.scarce.Store(true)
}

// work is the goroutine of a worker.
func (s *Set) work(w worker) {
	for l := range w {
		stay := true
		for l != nil {
			l.work()
			l, stay = s.next(w)
		}
		s.running.Done()
		if !stay {
			return
		}
	}
}

// next gives the lane that waits longest for a worker, which has this one then. Where
// none waits, the worker has no lane from that moment on: a lane that finds no worker
// later, and stands in line, is not left there by the last that could come. stay says
// whether it is to wait for its next lane.
func (s *Set) next(w worker) (l *lane, stay bool) {
	for {
		s.mu.Lock()
		if s.stopped.Load() || len(s.line) == 0 {
			s.scarce.Store(false)
			s.employed--
			stay = !s.stopped.Load() && len(s.waiting) < waitingWorkers
			if stay {
				s.waiting = append(s.waiting, w)
			}
			s.mu.Unlock()
			return nil, stay
		}
		l := s.line[0]
		s.line[0] = nil
		s.line = s.line[1:]
		l.queued = false
		s.mu.Unlock()
		l.mu.Lock() // never while the set's is held
		hired := l.workers < l.policy.Concurrency && !l.policy.Pull
		if hired {
			l.workers++
		}
		l.mu.Unlock()
		if hired {
			return l, true
		}
	}
}

// yield says that a worker is to leave its lane after an attempt, because others
// wait for one. Callers hold mu.
func (l *lane) yield() bool {
	s := l.set
	if !s.scarce.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped.Load() || len(s.line) == 0 {
		return false
	}
	if l.workers == 1 {
		s.queue(l) // it may have more to do
	}
	return true
}

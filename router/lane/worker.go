package lane

// waitingWorkers is how many workers are kept while they have no lane: the stack
// of a new goroutine has to grow in each of its first attempts.
const waitingWorkers = 64

// worker is a goroutine that works for one lane after another. It is told each by
// this channel, which has room for one.
type worker chan *lane

// employ gives a lane one more worker, unless the set is stopping.
func (s *Set) employ(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
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

// work is the goroutine of a worker.
func (s *Set) work(w worker) {
	for l := range w {
		l.work()
		s.mu.Lock()
		stay := !s.stopped && len(s.waiting) < waitingWorkers
		if stay {
			s.waiting = append(s.waiting, w)
		}
		s.mu.Unlock()
		s.running.Done()
		if !stay {
			return
		}
	}
}

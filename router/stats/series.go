package stats

// series is what is known of a key in one slot.
type series struct {
	Counts
	// attempts are the durations of all attempts, deliveries the times from an
	// event's arrival to success.
	attempts, deliveries latency
}

func (s *series) observe(o *Observation) error {
	if o.Event {
		s.Events++
		return nil
	}
	if o.Tried {
		s.Attempts++
		if o.Retry {
			s.Retries++
		}
		if o.Reason != "" {
			s.fail(o.Reason, 1)
		}
		if err := s.attempts.add(o.Latency); err != nil {
			return err
		}
	}
	switch o.End {
	case Delivered:
		s.Delivered++
		if !o.Unmeasured {
			return s.deliveries.add(o.SinceReceived)
		}
	case Dead:
		s.Dead++
	case Cancelled:
		s.Cancelled++
	}
	return nil
}

func (s *series) merge(o *series) error {
	s.Counts.add(&o.Counts)
	if err := s.attempts.merge(&o.attempts); err != nil {
		return err
	}
	return s.deliveries.merge(&o.deliveries)
}

// table is a bounded set of series.
type table map[Key]*series

// full says that there is no room for another type: not for so many series, nor for
// names as long as a stranger may send.
func (t table) full() bool {
	if len(t) < MaxSeries/8 || len(t) >= MaxSeries/2 {
		return len(t) >= MaxSeries/2
	}
	names := 0
	for k := range t {
		names += len(k.Type) + len(k.Destination) + len(k.Tenant)
	}
	return names >= maxNames
}

// get makes room for a key, or finds the series that takes what has no room: that
// of its destination where there is one, so that a destination's totals stay right
// as long as possible.
func (t table) get(k Key) *series {
	if s := t[k]; s != nil {
		return s
	}
	if k.Tenant != "" && len(t) >= MaxTenantSeries {
		k.Tenant = ""
		if s := t[k]; s != nil {
			return s
		}
	}
	// The last rooms are for the series that take the rest.
	switch {
	case !t.full() || k.Type == Other && k.Destination == Other:
	case len(t) < MaxSeries-1:
		k = Key{Type: Other, Destination: k.Destination}
	default:
		k = Key{Type: Other, Destination: k.Destination}
		if t[k] == nil {
			k = Key{Type: Other, Destination: Other}
		}
	}
	s := t[k]
	if s == nil {
		s = &series{}
		t[k] = s
	}
	return s
}

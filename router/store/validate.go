package store

import "fmt"

// Bounds of what a record may hold.
const (
	// MaxDeliveries is the most deliveries that one event may lead to.
	MaxDeliveries = 1 << 20
	// maxName is the most bytes of an id, a type, or a name.
	maxName = 4096
	maxData = 256 << 20
)

// Validate checks what can be checked of a record without knowing the state.
// Every implementation of Commit calls it first.
func (r *Record) Validate() error {
	for i := range r.Events {
		e := r.Events[i].Event
		if e == nil {
			return fmt.Errorf("event %d of the record is missing", i)
		}
		if e.ID == "" {
			return fmt.Errorf("event %d of the record has no id", i)
		}
		for _, name := range [...]string{e.ID, e.Type, e.Source, e.Scope, r.Events[i].Alias} {
			if err := checkName(name); err != nil {
				return err
			}
		}
		if len(e.Data) > maxData {
			return fmt.Errorf("an event of %d bytes: %w", len(e.Data), ErrTooLarge)
		}
	}
	for _, routing := range r.Routings {
		if err := validateRouting(routing); err != nil {
			return err
		}
	}
	for i := range r.Outcomes {
		if err := validateOutcomes(&r.Outcomes[i]); err != nil {
			return err
		}
	}
	for i := range r.Documents {
		d := &r.Documents[i]
		if d.Kind == "" || d.Name == "" {
			return fmt.Errorf("document %d of the record has no kind or no name", i)
		}
		for _, name := range [...]string{d.Kind, d.Name} {
			if err := checkName(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkName(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("a name of %d bytes: %w", len(s), ErrTooLarge)
	}
	return nil
}

func validateRouting(r *Routing) error {
	if r == nil {
		return fmt.Errorf("a routing of the record is missing")
	}
	if len(r.Deliveries) > MaxDeliveries {
		return fmt.Errorf("the routing of position %d has %d deliveries: %w", r.Position, len(r.Deliveries), ErrTooLarge)
	}
	for i := range r.Contents {
		if c := &r.Contents[i]; c.Head < 0 || c.Tail < 0 {
			return fmt.Errorf("content %d of position %d takes %d and %d bytes of the event", i, r.Position, c.Head, c.Tail)
		}
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		switch {
		case d.Lane == "":
			return fmt.Errorf("delivery %d of position %d has no lane", i, r.Position)
		case d.Match < 0 || d.Match >= len(r.Matches):
			return fmt.Errorf("delivery %d of position %d names match %d of %d", i, r.Position, d.Match, len(r.Matches))
		case d.Content < -1 || d.Content >= len(r.Contents):
			return fmt.Errorf("delivery %d of position %d names content %d of %d", i, r.Position, d.Content, len(r.Contents))
		case d.N < 0:
			return fmt.Errorf("delivery %d of position %d has the number %d", i, r.Position, d.N)
		case d.Dead != "" && !d.Due.IsZero():
			return fmt.Errorf("delivery %d of position %d is both due and dead", i, r.Position)
		case r.Again && d.Due.IsZero() && d.Dead == "":
			return fmt.Errorf("delivery %d of position %d, which was routed before, has no due time", i, r.Position)
		}
		if err := checkName(d.Lane); err != nil {
			return err
		}
	}
	return nil
}

func validateOutcomes(lo *LaneOutcomes) error {
	if lo.Lane == "" {
		return fmt.Errorf("outcomes of no lane")
	}
	if err := checkName(lo.Lane); err != nil {
		return err
	}
	for i := range lo.Outcomes {
		o := &lo.Outcomes[i]
		switch o.From {
		case Waiting, Retrying, Dead, Cancelled:
		default:
			return fmt.Errorf("an outcome of %s comes from the state %q", o.Ref, o.From)
		}
		switch o.To {
		case Delivered:
		case Dead:
			if o.Reason == "" {
				return fmt.Errorf("%s is dead without a reason", o.Ref)
			}
		case Cancelled:
		case Retrying:
			if o.Due.IsZero() {
				return fmt.Errorf("%s is to be retried at no time", o.Ref)
			}
		default:
			return fmt.Errorf("an outcome of %s goes to the state %q", o.Ref, o.To)
		}
		if o.Key > MaxKey || o.Key != 0 && o.To != Retrying {
			return fmt.Errorf("an outcome of %s to %s has the key %d", o.Ref, o.To, o.Key)
		}
		if o.From == o.To && o.To != Retrying {
			return fmt.Errorf("an outcome of %s stays %s", o.Ref, o.To)
		}
	}
	if c := lo.Cursor; c != nil {
		last := c.Low
		for i, r := range c.Above {
			if r.Less(last) || i > 0 && r == last {
				return fmt.Errorf("the cursor of %s does not ascend", lo.Lane)
			}
			last = r
		}
	}
	return nil
}

package cloudsim

import "time"

// What somebody else does in Options.AccountID, without a call that is counted.

// AddGroup makes a log group of the standard class.
func (s *Simulator) AddGroup(region, name string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	at := place{account: s.options.AccountID, region: region}
	if s.store.groups[at] == nil {
		s.store.groups[at] = map[string]*group{}
	}
	s.store.groups[at][name] = &group{name: name, created: s.now(), class: standardClass, streams: map[string]*stream{}}
}

// AddStream makes a log stream in a group that is there.
func (s *Simulator) AddStream(region, groupName, name string) {
	s.withGroup(region, groupName, func(g *group, now time.Time) { g.streams[name] = &stream{name: name, created: now} })
}

// RemoveStream deletes a log stream, and returns what was in it.
func (s *Simulator) RemoveStream(region, groupName, name string) (events []Event) {
	s.withGroup(region, groupName, func(g *group, _ time.Time) {
		if found := g.streams[name]; found != nil {
			events = found.events
		}
		delete(g.streams, name)
	})
	return events
}

// RemoveGroup deletes a log group with everything in it.
func (s *Simulator) RemoveGroup(region, name string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	delete(s.store.groups[place{account: s.options.AccountID, region: region}], name)
}

// SetRetention sets for how many days a group keeps its records; 0 means for ever.
func (s *Simulator) SetRetention(region, groupName string, days int) {
	s.withGroup(region, groupName, func(g *group, _ time.Time) { g.retention = days })
}

// Retention is for how many days a group keeps its records by its own setting; 0 means for ever.
func (s *Simulator) Retention(region, groupName string) (days int) {
	s.withGroup(region, groupName, func(g *group, _ time.Time) { days = g.retention })
	return days
}

// withGroup does something to a group, if it is there.
func (s *Simulator) withGroup(region, name string, do func(*group, time.Time)) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if found, err := s.store.group(place{account: s.options.AccountID, region: region}, name); err == nil {
		do(found, s.now())
	}
}

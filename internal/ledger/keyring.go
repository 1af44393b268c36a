package ledger

import "slices"

// keyring is the keys of which a verification knows.
type keyring struct {
	// known are keys by id. All but the trusted ones only claim to be the operator's.
	known     map[string]PublicKey
	announced []Announcement
	trusted   map[string]bool
}

// maxKeys bounds the keys that a ledger can make a reader remember.
const maxKeys = 1024

func newKeyring(trusted []PublicKey) *keyring {
	k := &keyring{known: map[string]PublicKey{}, trusted: map[string]bool{}}
	for _, key := range trusted {
		k.known[key.ID()] = key
		k.trusted[key.ID()] = true
	}
	return k
}

// learn takes keys from an entry, whoever signed it: an endorsement proves itself.
func (k *keyring) learn(announced []Announcement) {
	for _, a := range announced {
		key, err := a.key()
		if err != nil || len(k.announced) >= maxKeys || slices.Contains(k.announced, a) {
			continue
		}
		k.known[a.ID] = key
		k.announced = append(k.announced, a)
		k.spread()
	}
}

// trustFirst trusts a key for want of another.
func (k *keyring) trustFirst(id string) {
	k.trusted[id] = true
	k.spread()
}

// spread trusts the keys that trusted ones endorsed.
func (k *keyring) spread() {
	for more := true; more; {
		more = false
		for _, a := range k.announced {
			if k.trusted[a.PreviousID] && !k.trusted[a.ID] && a.endorsedBy(k.known[a.PreviousID]) {
				k.trusted[a.ID], more = true, true
			}
		}
	}
}

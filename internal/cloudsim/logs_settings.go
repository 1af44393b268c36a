package cloudsim

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of tags (CloudWatch Logs API reference, TagResource).
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// AccountRetention is an account-level policy that decides how long every group keeps its records.
type AccountRetention struct {
	// Name of the policy; "" for none.
	Name string
	// Days; 0 for ever.
	Days int
}

// SetAccountRetention puts an account-level retention policy into force, in place of any other.
func (s *Simulator) SetAccountRetention(policy AccountRetention) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.retention = policy
}

// Tags returns the tags of a group of Options.AccountID; nil if there is no such group.
func (s *Simulator) Tags(region, group string) map[string]string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, err := s.store.group(place{account: s.options.AccountID, region: region}, group)
	if err != nil {
		return nil
	}
	return maps.Clone(found.tags)
}

// retentionOf is for how many days a group keeps its records. The caller holds mu.
func (s *store) retentionOf(g *group) int {
	if s.retention.Name != "" {
		return s.retention.Days
	}
	return g.retention
}

const standardClass = "STANDARD"

// groupClass checks the class of a new group.
func groupClass(class string) (string, error) {
	switch class {
	case "":
		return standardClass, nil
	case standardClass, "INFREQUENT_ACCESS":
		return class, nil
	}
	return "", errConstraint(class, "logGroupClass", "satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY]")
}

func (s *Simulator) associateKMSKey(c *call) (any, error) {
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	if err := s.checkKey(c); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	found, err := s.store.group(c.place(), c.group)
	if err != nil {
		return nil, err
	}
	found.key = c.logs.KMSKeyID
	return nil, nil
}

// checkKey refuses a key that CloudWatch Logs cannot use, as AssociateKmsKey does.
func (s *Simulator) checkKey(c *call) error {
	inRegion := "arn:" + partitionOf(c.region) + ":kms:" + c.region + ":"
	if !strings.HasPrefix(c.logs.KMSKeyID, inRegion) || !s.store.hasKey(c.logs.KMSKeyID) {
		return errParameter("The specified KMS key does not exist or is not allowed to be used with Arn '%s'", groupARN(c.place(), c.group))
	}
	return nil
}

func (s *Simulator) tagResource(c *call) (any, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	found, err := s.taggedGroup(c)
	if err != nil {
		return nil, err
	}
	if len(c.logs.Tags) == 0 {
		return nil, errConstraint("{}", "tags", "have length greater than or equal to 1")
	}
	if err := checkTags(c.logs.Tags, found.tags); err != nil {
		return nil, err
	}
	if found.tags == nil {
		found.tags = map[string]string{}
	}
	maps.Copy(found.tags, c.logs.Tags)
	return nil, nil
}

func (s *Simulator) listTagsForResource(c *call) (any, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, err := s.taggedGroup(c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"tags": found.tags}, nil
}

// taggedGroup finds the group of a resourceArn, which has no ":*" at its end. The caller holds the store's lock.
func (s *Simulator) taggedGroup(c *call) (*group, error) {
	if c.logs.ResourceARN != groupARN(c.place(), c.group) || checkGroupName(c.group) != nil {
		return nil, errParameter("The specified resourceArn is not the ARN of a log group: %s", c.logs.ResourceARN)
	}
	return s.store.group(c.place(), c.group)
}

// checkTags refuses tags that break the service's model, or would be too many together with those that are there.
func checkTags(tags, there map[string]string) error {
	all := maps.Clone(there)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	if len(all) > maxTags {
		return badRequest("TooManyTagsException", "A resource can have no more than 50 tags.")
	}
	for key, value := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return errParameter("Tag keys starting with 'aws:' are reserved for system use")
		case key == "" || utf8.RuneCountInString(key) > maxTagKey || !tagText.MatchString(key):
			return errConstraint(key, "tags", "have keys of 1 to 128 characters of the pattern "+tagText.String())
		case utf8.RuneCountInString(value) > maxTagValue || !tagText.MatchString(value):
			return errConstraint(value, "tags", "have values of up to 256 characters of the pattern "+tagText.String())
		}
	}
	return nil
}

func (s *store) hasKey(arn string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.keys, arn)
}

// AddKey lets CloudWatch Logs use a symmetric KMS key.
func (s *Simulator) AddKey(arn string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.keys = append(s.store.keys, arn)
}

package cloudsim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// retentions are the days that PutRetentionPolicy accepts.
var retentions = []int{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

// describePage is the most groups or streams in one answer.
const describePage = 50

func (s *Simulator) createLogGroup(c *call) (any, error) {
	if len(c.logs.Tags) > 0 {
		if err := s.authorize(c, "TagResource"); err != nil {
			return nil, err
		}
	}
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	class, err := groupClass(c.logs.LogGroupClass)
	if err != nil {
		return nil, err
	}
	if err := checkTags(c.logs.Tags, nil); err != nil {
		return nil, err
	}
	if c.logs.KMSKeyID != "" {
		if err := s.authorize(c, "AssociateKmsKey"); err != nil {
			return nil, err
		}
		if err := s.checkKey(c); err != nil {
			return nil, err
		}
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if _, err := s.store.group(c.place(), c.group); err == nil {
		return nil, errExists("group")
	}
	groups := s.store.groups[c.place()]
	if groups == nil {
		groups = map[string]*group{}
		s.store.groups[c.place()] = groups
	}
	groups[c.group] = &group{
		name: c.group, created: c.now, class: class, key: c.logs.KMSKeyID, tags: maps.Clone(c.logs.Tags), streams: map[string]*stream{},
	}
	return nil, nil
}

func (s *Simulator) deleteLogGroup(c *call) (any, error) {
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if _, err := s.store.group(c.place(), c.group); err != nil {
		return nil, err
	}
	delete(s.store.groups[c.place()], c.group)
	return nil, nil
}

func (s *Simulator) createLogStream(c *call) (any, error) {
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, err := s.store.group(c.place(), c.group)
	if err != nil {
		return nil, err
	}
	if _, ok := in.streams[c.stream]; ok {
		return nil, errExists("stream")
	}
	in.streams[c.stream] = &stream{name: c.stream, created: c.now}
	return nil, nil
}

func (s *Simulator) deleteLogStream(c *call) (any, error) {
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, _, err := s.store.stream(c.place(), c.group, c.stream)
	if err != nil {
		return nil, err
	}
	delete(in.streams, c.stream)
	return nil, nil
}

func (s *Simulator) putRetentionPolicy(c *call) (any, error) {
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	if !slices.Contains(retentions, c.logs.RetentionInDays) {
		return nil, errConstraint(c.logs.RetentionInDays, "retentionInDays", "be one of the allowed numbers of days")
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	found, err := s.store.group(c.place(), c.group)
	if err != nil {
		return nil, err
	}
	found.retention = c.logs.RetentionInDays
	return nil, nil
}

type logGroup struct {
	ARN               string `json:"arn"`
	LogGroupARN       string `json:"logGroupArn"`
	Name              string `json:"logGroupName"`
	Class             string `json:"logGroupClass"`
	CreationTime      int64  `json:"creationTime"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	RetentionPolicy   string `json:"retentionPolicyName,omitempty"`
	KMSKeyID          string `json:"kmsKeyId,omitempty"`
	MetricFilterCount int    `json:"metricFilterCount"`
	StoredBytes       int64  `json:"storedBytes"`
}

type describeLogGroupsOutput struct {
	LogGroups []logGroup `json:"logGroups"`
	NextToken string     `json:"nextToken,omitempty"`
}

func (s *Simulator) describeLogGroups(c *call) (any, error) {
	prefix, pattern := c.logs.LogGroupNamePrefix, c.logs.LogGroupNamePattern
	if prefix != "" && pattern != "" {
		return nil, errParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found := []logGroup{}
	for _, name := range slices.Sorted(maps.Keys(s.store.groups[c.place()])) {
		if !strings.HasPrefix(name, prefix) || !strings.Contains(name, pattern) {
			continue
		}
		group, arn := s.store.groups[c.place()][name], groupARN(c.place(), name)
		described := logGroup{
			ARN: arn + ":*", LogGroupARN: arn, Name: name, Class: group.class, CreationTime: group.created.UnixMilli(),
			RetentionInDays: group.retention, KMSKeyID: group.key, StoredBytes: group.bytes(),
		}
		if policy := s.store.retention; policy.Name != "" {
			described.RetentionInDays, described.RetentionPolicy = policy.Days, policy.Name
		}
		found = append(found, described)
	}
	found, next, err := page(found, c.logs.NextToken, c.logs.Limit, describePage)
	return describeLogGroupsOutput{found, next}, err
}

type logStream struct {
	ARN                 string `json:"arn"`
	Name                string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken,omitempty"`
	StoredBytes         int64  `json:"storedBytes"` // Always 0, as AWS has it since 2019.
}

type describeLogStreamsOutput struct {
	LogStreams []logStream `json:"logStreams"`
	NextToken  string      `json:"nextToken,omitempty"`
}

func (s *Simulator) describeLogStreams(c *call) (any, error) {
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	order, err := streamOrder(c.logs)
	if err != nil {
		return nil, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	in, err := s.store.group(c.place(), c.group)
	if err != nil {
		return nil, err
	}
	found := []logStream{}
	for name, stream := range in.streams {
		if !strings.HasPrefix(name, c.logs.LogStreamNamePrefix) {
			continue
		}
		described := logStream{
			ARN: streamARN(c.place(), c.group, name), Name: name, CreationTime: stream.created.UnixMilli(),
			FirstEventTimestamp: stream.first, LastEventTimestamp: stream.last, LastIngestionTime: stream.ingested,
		}
		if stream.ingested != 0 {
			described.UploadSequenceToken = sequenceToken(time.UnixMilli(stream.ingested))
		}
		found = append(found, described)
	}
	slices.SortFunc(found, order)
	found, next, err := page(found, c.logs.NextToken, c.logs.Limit, describePage)
	return describeLogStreamsOutput{found, next}, err
}

// streamOrder is the order that a DescribeLogStreams asks for.
func streamOrder(request *logsRequest) (func(a, b logStream) int, error) {
	order := func(a, b logStream) int { return cmp.Compare(a.Name, b.Name) }
	switch request.OrderBy {
	case "", "LogStreamName":
	case "LastEventTime":
		if request.LogStreamNamePrefix != "" {
			return nil, errParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
		}
		order = func(a, b logStream) int {
			return cmp.Or(cmp.Compare(a.LastEventTimestamp, b.LastEventTimestamp), cmp.Compare(a.Name, b.Name))
		}
	default:
		return nil, errConstraint(request.OrderBy, "orderBy", "satisfy enum value set: [LogStreamName, LastEventTime]")
	}
	if request.Descending {
		ascending := order
		order = func(a, b logStream) int { return ascending(b, a) }
	}
	return order, nil
}

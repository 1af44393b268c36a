package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

// verification is what is verified, and against what.
type verification struct {
	place   cloudwatchPlace
	options ledger.Options
	// name is how the user knows the trail.
	name string
	// keySource says from where the keys are known.
	keySource string
}

// cloudwatchPlace is where a trail's records are.
type cloudwatchPlace struct{ region, group, stream, ledger string }

// verifyFlags are the flags of verify.
type verifyFlags struct {
	place   cloudwatchPlace
	uid     string
	keys    []string
	partial bool
}

var (
	errNoTrail = errors.New("say which trail: kubectl trail verify [NAMESPACE/]NAME; of one that is gone from the cluster, " +
		"give --region, --log-group, --log-stream and --trail-uid, and with --key a public key that you noted")
	errClusterOnly = errors.New("it has the type ClusterOnly: nothing of it is pushed, so there is no ledger to verify")
	errNoStream    = errors.New("it has no log stream yet: see its conditions with kubectl trail doctor")
)

func (s *session) verifyCommand() *cobra.Command {
	var flags verifyFlags
	command := &cobra.Command{
		Use:   "verify [NAMESPACE/]TRAIL",
		Short: "Prove that nothing of what was pushed is missing or changed",
		Long: `Reads a trail's records and its signed ledger from CloudWatch Logs, with your own AWS credentials (AWS_PROFILE, aws sso login
and so on; logs:GetLogEvents is what they need), and says what is missing, changed, reordered, added, repeated or cut off.
docs/ledger.md says how, and what it cannot show. The exit code is 2 when something is wrong.`,
		Example: `  kubectl trail verify security -n trailkeeper-system
  kubectl trail verify --region eu-west-1 --log-group /audit/prod --log-stream c1/shop/shop --trail-uid 8f0f… --key zswV…=`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: s.completeTrails,
		RunE: func(command *cobra.Command, args []string) error {
			return s.verify(command.Context(), args, &flags)
		},
	}
	define := command.Flags()
	define.StringVar(&flags.place.region, "region", "", "AWS region; of a trail that is gone from the cluster")
	define.StringVar(&flags.place.group, "log-group", "", "Log group; likewise")
	define.StringVar(&flags.place.stream, "log-stream", "", "Log stream of the records; likewise. The ledger is the one of that name with .ledger at its end")
	define.StringVar(&flags.uid, "trail-uid", "", "Uid of the trail whose records are verified; likewise")
	define.StringArrayVar(&flags.keys, "key", nil,
		"Public key to trust, in base64, as the trail's status.ledger.publicKey shows it; in place of the one that is there now")
	define.BoolVar(&flags.partial, "partial", false, "The log group keeps records for a limited time: do not miss the beginning")
	return command
}

func (s *session) verify(ctx context.Context, args []string, flags *verifyFlags) error {
	v, err := s.toVerify(ctx, args, flags)
	if err != nil {
		return err
	}
	streams, err := cloudwatch.OpenArchive(ctx, v.place.region)
	if err != nil {
		return err
	}
	progress := s.startProgress()
	report, err := ledger.Verify(
		messages(streams.Lines(ctx, v.place.group, v.place.ledger, cloudwatch.Span{}), progress, "entries of the ledger"),
		messages(streams.Lines(ctx, v.place.group, v.place.stream, cloudwatch.Span{}), progress, "records"),
		v.options)
	progress.stop()
	if err != nil {
		return err
	}
	s.printReport(v, report)
	if !report.Intact() {
		return errWrong
	}
	return nil
}

// messages are the lines' messages, counted for who watches.
func messages(lines iter.Seq2[cloudwatch.Line, error], progress *progress, what string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		count := 0
		for line, err := range lines {
			count++
			progress.count(count, what)
			if !yield(line.Message, err) {
				return
			}
		}
	}
}

// toVerify is what the arguments name.
func (s *session) toVerify(ctx context.Context, args []string, flags *verifyFlags) (*verification, error) {
	var v *verification
	var err error
	if len(args) == 1 {
		v, err = s.trailToVerify(ctx, args[0])
	} else {
		v, err = flags.toVerify()
	}
	if err != nil {
		return nil, err
	}
	v.options.Partial = flags.partial
	if len(flags.keys) == 0 {
		return v, nil
	}
	v.options.Keys, v.keySource = nil, "--key"
	for _, text := range flags.keys {
		key, err := ledger.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("reading --key: %w", err)
		}
		v.options.Keys = append(v.options.Keys, key)
	}
	return v, nil
}

func (f *verifyFlags) toVerify() (*verification, error) {
	p := f.place
	if p.region == "" || p.group == "" || p.stream == "" || f.uid == "" {
		return nil, errNoTrail
	}
	p.ledger = cloudwatch.LedgerOf(p.stream)
	return &verification{name: "with uid " + f.uid, place: p, options: ledger.Options{TrailUID: f.uid}}, nil
}

func (s *session) trailToVerify(ctx context.Context, name string) (*verification, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	trail, err := s.findTrail(ctx, c, name)
	if err != nil {
		return nil, err
	}
	v, err := verificationOf(trail)
	if err != nil {
		return nil, fmt.Errorf("verifying AuditTrail %s/%s: %w", trail.Namespace, trail.Name, err)
	}
	return v, nil
}

// verificationOf takes from a trail's status where its records are, and how far they must go. The status is read before the
// streams are, so that these may be ahead of it and never behind.
func verificationOf(trail *v1alpha1.AuditTrail) (*verification, error) {
	if trail.Spec.CloudWatch == nil {
		return nil, errClusterOnly
	}
	if trail.Status.LogStreamName == "" {
		return nil, errNoStream
	}
	if trail.Spec.CloudWatch.LogGroupClass == v1alpha1.LogGroupClassInfrequentAccess {
		return nil, archive.ErrInfrequentAccess
	}
	v := &verification{
		name: trail.Namespace + "/" + trail.Name,
		place: cloudwatchPlace{
			region: trail.Spec.CloudWatch.Region, group: trail.Spec.CloudWatch.LogGroupName,
			stream: trail.Status.LogStreamName, ledger: cloudwatch.LedgerOf(trail.Status.LogStreamName),
		},
		options: ledger.Options{TrailUID: string(trail.UID)},
	}
	if delivery := trail.Status.Delivery; delivery != nil {
		v.options.Tip = &ledger.Head{Sequence: delivery.Sequence, Hash: delivery.Hash}
	}
	if status := trail.Status.Ledger; status != nil {
		v.options.LedgerTip = &ledger.Head{Sequence: status.Number, Hash: status.Hash}
		for _, gap := range status.Gaps {
			v.options.Refused = append(v.options.Refused, ledger.Gap{
				First: gap.First, Last: gap.Last, PreviousHash: gap.PreviousHash, Hash: gap.Hash, Reason: gap.Reason,
			})
		}
		if status.PublicKey != "" {
			key, err := ledger.ParsePublicKey(status.PublicKey)
			if err != nil {
				return nil, fmt.Errorf("reading its status: %w", err)
			}
			v.options.Keys, v.keySource = []ledger.PublicKey{key}, "the trail's status"
		}
	}
	return v, nil
}

package apijson

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrExpired says that the API server no longer has the history that a watch asked for.
var ErrExpired = errors.New("the resourceVersion is too old or too new for a watch")

// FailureOf is the error that the API server ends a watch with, in its last frame: ErrExpired, or a status.
func FailureOf(read []byte) error {
	var frame struct {
		Object metav1.Status `json:"object"`
	}
	if err := json.Unmarshal(read, &frame); err != nil {
		return fmt.Errorf("decoding the end of a watch: %w", err)
	}
	err := &apierrors.StatusError{ErrStatus: frame.Object}
	if IsExpired(err) {
		return ErrExpired
	}
	return err
}

// IsExpired is also true for a resourceVersion from the future, which a restored etcd leaves behind.
func IsExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.IsTimeout(err) && apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

package plugin_test

import (
	"testing"
)

// TestDoctorWithoutAnOperator: nothing was installed but what the operator needs.
func TestDoctorWithoutAnOperator(t *testing.T) {
	golden(t, "doctor-no-operator", plugin(t, adminKubeconfig(t), "doctor", "-n", shop))
}

package plugin_test

import (
	"testing"
)

// testDoctorWithoutAnOperator: nothing was installed but what the operator needs.
func testDoctorWithoutAnOperator(t *testing.T) {
	golden(t, "doctor-no-operator", plugin(t, adminKubeconfig(t), "doctor", "-n", shop))
}

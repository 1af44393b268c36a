// Package controllers holds the reconcilers. They are the only ones who write AuditTrails, each its own part of the
// status, and they leave what AWS, rules and delivery mean to the packages that own that.
package controllers

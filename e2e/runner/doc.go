// Package runner runs a ginkgo suite, a compiled test program, on this machine
// and gives a report of it.
//
// What happens is kept in a journal, one line each, as it happens; the report is
// made from the journal alone. So a run that was cut off, also by the end of
// this process, can be reported and taken up again.
//
// A suite with kluster's own main (package suite) tells what its specs do while
// they do it. Of any other the runner knows the outcome when it has ended, from
// ginkgo's own JSON report.
package runner

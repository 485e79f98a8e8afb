#!/bin/sh
# Runs critest in a node with the arguments of this script, and brings ginkgo's
# report back. An interruption interrupts critest there, which cleans up and reports.
report=/dev/null
for arg do
  shift
  case $arg in
  --ginkgo.json-report=*)
    report=${arg#*=}
    arg=--ginkgo.json-report=@DIR@/report.json
    ;;
  esac
  set -- "$@" "$arg"
done
interrupted=
trap 'interrupted=1' INT TERM
@EXEC@ @DIR@/critest.test "$@"
code=$?
if [ "$interrupted" ]; then
  @EXEC@ sh -c 'pkill -INT critest.test; while pgrep critest.test > /dev/null; do sleep 0.1; done'
fi
@EXEC@ cat @DIR@/report.json > "$report"
exit $code

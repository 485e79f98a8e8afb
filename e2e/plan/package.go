package plan

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/kluster-project/kluster/internal/failure"
)

// packageSuite is the suite of ginkgo specs in a folder.
func packageSuite(dir string) (Suite, error) {
	usage := func(format string, args ...any) (Suite, error) {
		return Suite{}, failure.New(fmt.Sprintf("suite %s: ", dir)+fmt.Sprintf(format, args...), failure.Exit(failure.CodeUsage),
			failure.Hint("give the folder of one Go package with ginkgo specs in _test.go files"))
	}
	info, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return usage("there is no such folder")
	case err != nil:
		return usage("%v", err)
	case !info.IsDir():
		return usage("it is not a folder")
	}
	tests, err := fs.Glob(os.DirFS(dir), "*_test.go")
	if err != nil {
		return usage("%v", err)
	}
	if len(tests) == 0 {
		return usage("the folder holds no _test.go file")
	}
	return Suite{
		Name: dir, Description: "the specs in " + dir, Program: Package,
		Packages: []string{dir}, Nodes: 1,
	}, nil
}

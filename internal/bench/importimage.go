package bench

import (
	"context"
	"fmt"
)

const (
	// importRef is the name of the image that is imported.
	importRef = "bench.kluster.dev/import:1"
	// importLayers is how many layers it has, each of as many files.
	importLayers = 4
	// importFileSize is the size of every file in bytes: four make 10^6.
	importFileSize = 250_000
)

// importImage fills in the time of the first import of an image.
func (p *pairCluster) importImage(ctx context.Context, s *RuntimeSample) error {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	out, err := p.call(ctx, p.pair.Load(p.name, p.archive))
	if err != nil {
		return err
	}
	if _, err := p.call(ctx, p.pair.Has(p.name, p.node, importRef)); err != nil {
		return fmt.Errorf("the image is not there after the import: %w", err)
	}
	s.ImportSeconds, s.ImportBytes = out.Took.Seconds(), p.report.Settings.Runtimes.ArchiveBytes
	return nil
}

// importArchive is the image to import, with layers of so many 10^6 bytes in all.
func importArchive(megabytes int) madeImage {
	img := madeImage{ref: importRef}
	for i := range importLayers {
		img.layers = append(img.layers, madeLayer{seed: uint64(i + 1), files: megabytes, size: importFileSize})
	}
	return img
}

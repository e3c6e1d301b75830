// Icon draws the plugin's icon: a film leader's disc, its hand at 42 s, with a play mark in it.
//
//	go run ./demo/icon ../.assets/icon.png
package main

import (
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"os"
)

const (
	size    = 256
	samples = 4 // per axis and pixel
)

var (
	ground  = color.NRGBA{0x10, 0x2a, 0x43, 0xff}
	unseen  = color.NRGBA{0x2c, 0x4d, 0x6b, 0xff}
	swept   = color.NRGBA{0x24, 0xa1, 0xc1, 0xff}
	white   = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	outside = color.NRGBA{}
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: icon FILE")
	}
	f, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(f, draw()); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

func draw() image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			var r, g, b, a int
			for i := range samples * samples {
				c := at((float64(x)+(float64(i%samples)+0.5)/samples)/size*2-1, (float64(y)+(float64(i/samples)+0.5)/samples)/size*2-1)
				k := int(c.A)
				r, g, b, a = r+int(c.R)*k, g+int(c.G)*k, b+int(c.B)*k, a+k
			}
			if a > 0 {
				img.SetNRGBA(x, y, color.NRGBA{uint8(r / a), uint8(g / a), uint8(b / a), uint8(a / (samples * samples))})
			}
		}
	}
	return img
}

// at is the color at x, y, both from -1 to 1.
func at(x, y float64) color.NRGBA {
	const corner, outer, inner = 0.42, 0.80, 0.56
	dx, dy := math.Max(math.Abs(x)-(1-corner), 0), math.Max(math.Abs(y)-(1-corner), 0)
	radius := math.Hypot(x, y)
	turn := math.Mod(math.Atan2(x, -y)/(2*math.Pi)+1, 1)
	// The play mark's weight lies left of its middle.
	px := x + 0.06
	switch {
	case math.Hypot(dx, dy) > corner:
		return outside
	case px > -0.22 && math.Abs(y) < (0.44-px)*0.56:
		return white
	case radius > inner && radius < outer && turn < 0.70:
		return swept
	case radius > inner && radius < outer:
		return unseen
	}
	return ground
}

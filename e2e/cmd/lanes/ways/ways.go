// Package ways adds a constant to a table of big-endian numbers in three ways.
package ways

import (
	"bytes"
	"encoding/binary"
	"math/big"
)

// OneByOne takes each entry out and puts it back.
func OneByOne(table []byte, by uint32) {
	for i := 0; i < len(table); i += 4 {
		binary.BigEndian.PutUint32(table[i:], binary.BigEndian.Uint32(table[i:])+by)
	}
}

// Bulk decodes and encodes the table by one call each, and loops over numbers.
func Bulk(table []byte, by uint32) {
	numbers := make([]uint32, len(table)/4)
	if err := binary.Read(bytes.NewReader(table), binary.BigEndian, numbers); err != nil {
		return
	}
	for i := range numbers {
		numbers[i] += by
	}
	var out bytes.Buffer
	if err := binary.Write(&out, binary.BigEndian, numbers); err != nil {
		return
	}
	copy(table, out.Bytes())
}

// Lanes adds to the table, read as one long number, the constant repeated as often: no lane runs over.
func Lanes(table []byte, by uint32) {
	entry := make([]byte, 4)
	binary.BigEndian.PutUint32(entry, by)
	sum := new(big.Int).SetBytes(table)
	sum.Add(sum, new(big.Int).SetBytes(bytes.Repeat(entry, len(table)/4)))
	sum.FillBytes(table)
}

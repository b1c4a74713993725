package plugins

import (
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/weirhq/weir/plugins/meter"
)

// What fuel is by default, in units (package meter says what takes one).
const (
	// DefaultFuel is for one message through a plugin, plus FuelPerByte for each
	// byte of its data.
	DefaultFuel = 20_000_000
	FuelPerByte = 100
	// DefaultInitFuel is for the start of an instance up to the end of weir_init.
	// What a module's start section takes is bounded by it whatever the plugin's
	// own is.
	DefaultInitFuel = 200_000_000
	// MaxFuel is the most for a message, or for a start: some seconds of a tight
	// loop. Whatever waits for the guest waits no longer than that, however long its
	// deadline is.
	MaxFuel = 2_000_000_000
)

// bytesPerUnit is how many bytes the host works through for one unit.
const bytesPerUnit = 16

// errFuel is the trap of an import that there is no fuel left for.
var errFuel = errors.New("out of fuel")

// meterage is the fuel of one call. The guest's own work is taken off the global
// that the rewriter added; what the host does for it is counted here, since a
// guest could otherwise have the host work without end for one unit a call.
type meterage struct {
	budget int64
	host   int64
}

// charge takes fuel for an import that goes through so many bytes. It traps where
// there is none left.
func (i *instance) charge(bytes int) {
	i.spent.host += 1 + int64(bytes)/bytesPerUnit
	if i.spent.host > i.spent.budget {
		panic(errFuel)
	}
}

// refuel begins a count.
func (i *instance) refuel(budget int64) {
	i.spent = meterage{budget: budget}
	i.setFuel(budget)
}

// setFuel sets what the guest may take.
func (i *instance) setFuel(units int64) {
	fuel, reserve := meter.Slice(units)
	i.fuel.Set(api.EncodeI64(fuel))
	i.reserve.Set(api.EncodeI64(reserve))
}

// used returns what was taken since the last refuel, and whether it was more than
// there was. No guest code must be running.
func (i *instance) used() (units int64, over bool) {
	if i.fuel == nil { // it never started
		return 0, false
	}
	guest := i.spent.budget - int64(i.fuel.Get()) - int64(i.reserve.Get())
	units = guest + i.spent.host
	return min(units, i.spent.budget), units > i.spent.budget
}

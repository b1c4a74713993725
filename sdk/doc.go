// Package sdk carries the guest SDKs and knows how plugins of each language are
// begun and built, so that the weir command does both outside of this
// repository. A [Language] is one file here and one folder below, and touches no
// other.
//
// A plugin's folder holds the SDK that it was begun with, in sdk/: a newer weir
// builds it to the same bytes. Where that is missing, the SDK that this package
// carries is used.
package sdk

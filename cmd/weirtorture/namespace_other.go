//go:build !linux

package main

import (
	"context"
	"errors"
)

var errLinux = errors.New("it needs Linux")

func apart(context.Context) (int, bool) { return 0, false }

func canMount() error    { return errLinux }
func canCutPower() error { return errLinux }

func provePower(context.Context, *trial) (string, error) { return "", errLinux }
func proveFull(context.Context, *trial) (string, error)  { return "", errLinux }

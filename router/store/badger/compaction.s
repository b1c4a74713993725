// This file lets compaction.go declare functions without a body.

package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxFileSize bounds one file of a configuration, maxTextSize what file()
	// reads.
	maxFileSize = 16 << 20
	maxTextSize = 1 << 20
	// maxOperators bounds those of a file: a chain of them is a deep tree.
	maxOperators = 200000
	// maxNesting bounds brackets in brackets, which the parser recurses into.
	maxNesting = 200
	// maxNumberSize bounds the text of a number.
	maxNumberSize = 1000
	// maxModuleSize bounds a plugin's module.
	maxModuleSize = 64 << 20
)

// Options change how a configuration is loaded. The zero value is right for the
// command line, but for CheckPlugin.
type Options struct {
	// LookupEnv finds what env() asks for; os.LookupEnv when nil.
	LookupEnv func(name string) (string, bool)
	// Vars are values of variables by name, which count before those of the
	// environment.
	Vars map[string]string
	// ToAsk is for a program that asks a router or its store and runs none: a
	// variable that env() does not find gets a value of no meaning, and a module
	// that is not there is left out. What is loaded like this must not be run.
	ToAsk bool
	// CheckPlugin says what is wrong with a module of a plugin, by its ABI alone.
	// Its error is shown at the attribute that names the module. Nil: nobody looks
	// into modules.
	CheckPlugin func(wasm []byte, p *Plugin) error
	// Dir is the folder that relative paths of [Parse] start from; the working
	// directory when empty.
	Dir string
}

// Load reads the configuration at path: a file, or a folder whose *.hcl are read
// in name order as one. The Config is nil exactly when the report has errors; it
// may have warnings otherwise.
func Load(path string, o Options) (*Config, *Report) {
	l := newLoader(o)
	l.report.Inputs.note(path)
	files, dir, err := find(path)
	if err != nil {
		l.report.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Configuration can't be read", Detail: sentence(err.Error())})
		return nil, l.report.finish()
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	for _, name := range files {
		src, err := l.read(name, maxFileSize)
		if err != nil {
			l.report.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Configuration can't be read", Detail: sentence(err.Error())})
			l.broken = true
			continue
		}
		l.parse(name, src, dir)
	}
	return l.finish(dir)
}

// Parse reads the configuration from src. filename is what diagnostics call it.
func Parse(filename string, src []byte, o Options) (*Config, *Report) {
	l := newLoader(o)
	dir := o.Dir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if len(src) > maxFileSize {
		l.report.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Configuration can't be read", Detail: fmt.Sprintf("%s has more than %d bytes.", filename, maxFileSize)})
		return nil, l.report.finish()
	}
	l.parse(filename, src, dir)
	return l.finish(dir)
}

// LoadServer reads the server block alone, whatever is wrong with the rest: a
// router that still runs by what the files said before is found by it. It gives nil
// where the block, or what it is made of, can't be read either.
func LoadServer(path string, o Options) *Server {
	l := newLoader(o)
	files, dir, err := find(path)
	if err != nil {
		return nil
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	for _, name := range files {
		src, err := l.read(name, maxFileSize)
		if err != nil || costly(src, name) != nil {
			l.broken = true
			continue
		}
		l.dirs[name], l.sources[name] = dir, src
		file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		l.broken = l.broken || diags.HasErrors()
		if body, ok := file.Body.(*hclsyntax.Body); ok { // as far as it goes
			l.bodies = append(l.bodies, body)
		}
	}
	block := l.single("server")
	if block == nil && l.broken { // it may be where nothing could be read
		return nil
	}
	l.decodeVariables()
	l.decodeLocals()
	l.decodeServer(block)
	if l.report.HasErrors() {
		return nil
	}
	return &l.config.Server
}

// find returns the files of a configuration and the folder that they are in.
func find(path string) (files []string, dir string, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("there is no %s; --config names a file, or a folder of *.hcl", path)
	case err != nil:
		return nil, "", err
	case !info.IsDir():
		return []string{path}, filepath.Dir(path), nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, "", fmt.Errorf("the folder %s has no *.hcl", path)
	}
	sort.Strings(files)
	return files, path, nil
}

// read reads a file that the configuration follows from.
func (l *loader) read(name string, most int64) ([]byte, error) {
	l.report.Inputs.note(name) // before it is read: a change in between counts as one
	return readFile(name, most)
}

func readFile(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, plainError(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are read", name, info.Size(), most)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, plainError(name, err)
	}
	return b, nil
}

// plainError says in words what the operating system says in calls.
func plainError(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read by this user", name)
	}
	return err
}

// loader collects one configuration.
type loader struct {
	opts    Options
	report  *Report
	bodies  []*hclsyntax.Body
	dirs    map[string]string // folder by the name of a file
	sources map[string][]byte // bytes by the name of a file, not masked
	order   []string          // names of files as they were read
	// contexts are those of [loader.context], by folder.
	contexts map[string]*hcl.EvalContext
	// broken says that a part could not be read: names that seem unknown may be
	// defined there.
	broken  bool
	hash    hash.Hash
	modules map[string]*moduleFile
	config  *Config

	// blocks by kind and name, for references and duplicates. A block with
	// mistakes is here too.
	sourceBlocks      map[string]*Source
	pluginBlocks      map[string]*Plugin
	destinationBlocks map[string]*Destination
	defined           map[string]map[string]hcl.Range
	// verifies has the names of sources with a verify block, be it of "none".
	verifies map[string]bool
	values   values
	// repeated has the names of blocks with for_each, by kind; incomplete those,
	// such as route.r, whose for_each has mistakes.
	repeated   map[string]map[string]bool
	incomplete map[string]bool
}

func newLoader(o Options) *loader {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	return &loader{
		opts:              o,
		report:            &Report{Files: map[string]*hcl.File{}, Inputs: Inputs{}},
		dirs:              map[string]string{},
		sources:           map[string][]byte{},
		contexts:          map[string]*hcl.EvalContext{},
		hash:              sha256.New(),
		modules:           map[string]*moduleFile{},
		config:            &Config{},
		sourceBlocks:      map[string]*Source{},
		pluginBlocks:      map[string]*Plugin{},
		destinationBlocks: map[string]*Destination{},
		defined:           map[string]map[string]hcl.Range{},
		verifies:          map[string]bool{},
		values:            newValues(),
		repeated:          map[string]map[string]bool{},
		incomplete:        map[string]bool{},
	}
}

// digest takes what was read into the hash, lengths first.
func (l *loader) digest(name string, b []byte) {
	var n [8]byte
	for _, part := range [][]byte{[]byte(name), b} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		l.hash.Write(n[:])
		l.hash.Write(part)
	}
}

func (l *loader) parse(name string, src []byte, dir string) {
	l.dirs[name] = dir
	l.sources[name] = src
	l.order = append(l.order, name)
	l.digest(filepath.Base(name), src)
	if d := costly(src, name); d != nil {
		l.report.Files[name] = &hcl.File{Bytes: maskLines(src)}
		l.broken = true
		l.report.add(d)
		return
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	body, ok := file.Body.(*hclsyntax.Body)
	if diags.HasErrors() || !ok {
		// What did not parse can't be searched for secrets: judge by the line.
		l.report.Files[name] = &hcl.File{Bytes: maskLines(src), Nav: file.Nav}
		l.broken = true
	} else {
		l.report.Files[name] = &hcl.File{Bytes: maskSecrets(src, body), Body: body, Nav: file.Nav}
		l.bodies = append(l.bodies, body)
	}
	for _, d := range diags {
		l.report.add(d)
	}
}

// costly finds what would take the parser, or the printing of a value, for ever:
// brackets nested too deeply and numbers with millions of digits.
func costly(src []byte, name string) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			if depth++; depth > maxNesting {
				return &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Nested too deeply",
					Detail: fmt.Sprintf("Brackets may be nested %d deep.", maxNesting), Subject: t.Range.Ptr(),
				}
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
			hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth--
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenQuestion:
			if operators++; operators > maxOperators {
				return &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Too many operators",
					Detail: fmt.Sprintf("A file may have %d operators. Divide it.", maxOperators), Subject: t.Range.Ptr(),
				}
			}
		case hclsyntax.TokenNumberLit:
			_, exponent, _ := strings.Cut(strings.ToLower(string(t.Bytes)), "e")
			if len(t.Bytes) > maxNumberSize || len(strings.TrimLeft(exponent, "+-0")) > 4 {
				return &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Number out of range",
					Detail: "The number has too many digits.", Subject: t.Range.Ptr(),
				}
			}
		}
	}
	return nil
}

func (l *loader) finish(dir string) (*Config, *Report) {
	l.config.Dir = dir
	l.decode()
	report := l.report.finish()
	if report.HasErrors() {
		return nil, report
	}
	for _, name := range l.order {
		l.config.Files = append(l.config.Files, File{Name: name, Masked: l.report.Files[name].Bytes})
	}
	l.config.Hash = hex.EncodeToString(l.hash.Sum(nil))
	return l.config, report
}

// decode reads all blocks: first what others refer to, then the routes.
func (l *loader) decode() {
	for _, body := range l.bodies {
		l.check(body, topSchema, "configuration")
	}
	l.decodeVariables()
	l.decodeLocals()
	l.decodeServer(l.single("server"))
	l.decodeStore(l.single("store"))
	l.decodeLog(l.single("log"))
	l.decodeMetrics(l.single("metrics"))
	l.decodeTracing(l.single("tracing"))
	defaults := l.decodeDefaults(l.single("defaults"))
	for _, b := range l.named("source") {
		l.decodeSource(b)
	}
	l.finishSources()
	l.warnOpenSources()
	for _, b := range l.named("plugin") {
		l.decodePlugin(b)
	}
	for _, b := range l.named("destination") {
		l.instances(b, func(b *hclsyntax.Block) { l.decodeDestination(b, defaults) })
	}
	for _, b := range l.named("route") {
		l.instances(b, l.decodeRoute)
	}
	l.decodeWebhooks(l.single("webhooks"), defaults)
}

// blocks returns the blocks of a type in the order of files and lines.
func (l *loader) blocks(kind string) []*hclsyntax.Block {
	var list []*hclsyntax.Block
	for _, body := range l.bodies {
		for _, b := range body.Blocks {
			if b.Type == kind {
				list = append(list, b)
			}
		}
	}
	return list
}

// single returns the one block of a type, nil where there is none.
func (l *loader) single(kind string) *hclsyntax.Block {
	list := l.blocks(kind)
	if len(list) == 0 {
		return nil
	}
	l.onlyOne(list)
	return list[0]
}

// onlyOne refuses all blocks but the first.
func (l *loader) onlyOne(list []*hclsyntax.Block) {
	for _, b := range list[1:] {
		l.fail(b.TypeRange, fmt.Sprintf("Second %q block", b.Type), "There may be one %q block here, and one is at %s.", b.Type, place(list[0].TypeRange))
	}
}

// named returns the blocks of a type that have one good label, and refuses the
// others. A block whose name is taken is refused but still returned, so that the
// rest of it is checked.
func (l *loader) named(kind string) []*hclsyntax.Block {
	var list []*hclsyntax.Block
	seen := map[string]hcl.Range{}
	for _, b := range l.blocks(kind) {
		if !l.oneLabel(b, kind+` "name"`) {
			continue
		}
		name := b.Labels[0]
		if !validName(name) {
			l.invalidName(b.LabelRanges[0])
		}
		if first, taken := seen[name]; taken {
			l.fail(b.LabelRanges[0], fmt.Sprintf("Second %s %q", kind, name), "A %s with this name is at %s.", kind, place(first))
		} else {
			seen[name] = b.LabelRanges[0]
		}
		list = append(list, b)
	}
	l.defined[kind] = seen
	return list
}

func (l *loader) oneLabel(b *hclsyntax.Block, form string) bool {
	if len(b.Labels) == 1 {
		return true
	}
	l.fail(b.TypeRange, "Wrong number of labels", "Write %s { ... }.", form)
	return false
}

const maxNameSize = 64

func (l *loader) invalidName(r hcl.Range) {
	l.fail(r, "Invalid name", "A name begins with a lower-case letter and has lower-case letters, digits, \"_\" and \"-\" (at most %d).", maxNameSize)
}

func validName(s string) bool {
	if s == "" || len(s) > maxNameSize || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func place(r hcl.Range) string { return fmt.Sprintf("%s line %d", r.Filename, r.Start.Line) }

// fail records an error at r.
func (l *loader) fail(r hcl.Range, summary, format string, args ...any) {
	l.report.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

// warn records a warning at r.
func (l *loader) warn(r hcl.Range, summary, format string, args ...any) {
	l.report.add(&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

// sentence makes a message begin with a capital and end with a point.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// path makes a path of the configuration absolute: it is relative to the folder
// of the file that holds it.
func (l *loader) path(p string, r hcl.Range) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.dirs[r.Filename], p)
}

# The two commands of the README are `make demo` and `make test`.

.PHONY: demo serve page build test check load faults soak draw draw-all advisories bench bench-apart bench-draw bench-lottery bench-replay compare screenshots

# The server with a demo room in it: http://127.0.0.1:8080/
demo: build
	target/release/goligoli demo

# The server alone.
serve: build
	target/release/goligoli serve

build: page
	@tests/need.sh rust protoc
	cargo build --release --locked -p goligoli

# The web page, which the binary embeds.
page: static/dist/index.html

static/dist/index.html: $(shell find static -path static/node_modules -prune -o -path static/dist -prune -o -type f -print)
	@tests/need.sh rust node
	cd static && npm ci --no-audit --no-fund && npm run build
	@touch $@

# Everything that CI holds against a change, but the advisories.
test:
	tests/all.sh

# The part of it that needs no browser and no Python.
check: page
	@tests/need.sh rust protoc
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features goligoli-tests/load,goligoli/failpoints --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked
	cargo build --locked -p goligoli --features failpoints
	cargo test --workspace --features goligoli/failpoints --locked

# What is promised under load: the flow limiter, bad readers, storms, kills; five minutes.
# LOAD_SEED=… repeats the dice of two of them: when people speak in fairness, when kills come.
load:
	cargo build --release --locked -p goligoli
	cargo test --release --locked -p goligoli-tests --features load --test load -- --test-threads=1 --nocapture

# Processes, servers and networks that break under a site in use, on a native stack of its own.
# FAULTS=short leaves out what waits long; FAULTS_SEED=… repeats the dice; TESTS=… names some.
faults: page
	tests/on_stack.sh faults env TOPOLOGY=apart cargo test --workspace --features goligoli/failpoints --locked \
	    --test command_line --test faults -- --ignored --test-threads=1 --nocapture $(TESTS)

# Memory under load and bad readers, for ten minutes.
soak:
	cargo build --release --locked -p goligoli
	LOAD_SOAK_SECONDS=600 cargo test --release --locked -p goligoli-tests --features load --test load -- --nocapture memory

# Whether a draw can be checked by anyone: `goligoli verify-draw` and a second verifier, written
# in Python from the protocol's text, on all test vectors and on 500 changed bytes.
draw: build
	@tests/need.sh python
	tests/draw/agree.sh

# The same on every byte of a proof and its entries.
draw-all: build
	@tests/need.sh python
	tests/draw/agree.sh --all

advisories:
	tests/advisories.sh

# Durable posts a second, with latencies; see "Performance" in the README.
bench: build
	cargo run --release --locked -p goligoli-tests --bin bench-post

# How long a draw of a million entries takes, and its check, and the memory for it.
bench-draw:
	cargo run --release --locked -p goligoli-lottery --example bench-draw

# Durable entries a second, with latencies; the draw over a million of them, and its memory.
bench-lottery: build
	cargo run --release --locked -p goligoli-tests --bin bench-lottery

# Posts, entries and fan-out in one process and in a whole site on the real servers, one after the
# other. About three minutes after the build.
bench-apart: page
	@tests/need.sh rust protoc
	cargo build --release --locked -p goligoli -p goligoli-tests --bins
	tests/on_stack.sh bench tests/compare/apart.sh

# How long a broadcast of a million danmaku takes to become a replay, with which memory; what its
# files cost to serve.
bench-replay: build
	cargo run --release --locked -p goligoli-tests --bin bench-replay

# Fan-out: this server beside nginx + nchan, Centrifugo, Mercure and a bare send loop; see
# "Performance" in the README. About a quarter of an hour.
compare: page
	tests/compare/run.sh

# The pictures in the README, taken anew from the running demo.
screenshots: build
	tests/browser/screenshots.sh

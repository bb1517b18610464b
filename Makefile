# Two commands do everything on a fresh Debian or Ubuntu:
#   make studio   installs what is missing, builds, opens the studio on the bundled sample
#   make test     every test; green without a GPU and without a display
.PHONY: studio test system

studio: system
	@scripts/studio.sh

test: system
	PATH="$$HOME/.cargo/bin:$$PATH" && cargo build --release --workspace --locked && \
		cargo test --release --workspace --locked

system:
	@scripts/system.sh

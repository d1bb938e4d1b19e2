/* reader_private.h - the reader's state, shared by its three files: reader.c (what comes next),
   reader_frames.c (frames, and saying where things went wrong), reader_values.c (blocks). */
#ifndef ACT_READER_PRIVATE_H
#define ACT_READER_PRIVATE_H

#include "act/codec.h"
#include "act/frame.h"
#include "act/input.h"
#include "act/reader.h"

#define READER_SLOTS 4 /* blocks decoded at the same time */

struct act_reader {
    struct input in;
    char *name;
    bool verify, ended;
    struct err broken; /* the first failure; all later calls give it again */
    struct act_header header;
    struct act_item item;
    struct frame_totals seen;
    uint64_t raw;
    unsigned char *payload; /* of the last frame that is not a block */
    size_t payload_cap;
    /* The frame being read: */
    struct frame frame;
    uint64_t frame_at;
    /* The current record: */
    struct act_record record;
    bool in_record;
    size_t left;  /* values whose blocks were not yet reached */
    float *block; /* a block of which only a part was asked for */
    size_t block_at, block_len, block_cap;
    struct codec_slot slot[READER_SLOTS];
    uint64_t slot_at[READER_SLOTS]; /* the frame's offset */
};

/* Puts before the message in *e where in the stream it is, and remembers it: all later calls give
   it again. Returns -1. */
int reader_fail(struct act_reader *r, uint64_t at, struct err *e);
/* The same for what is wrong inside the current frame. */
int reader_fail_frame(struct act_reader *r, struct err *e);

bool reader_is_magic(const unsigned char *p);

/* Reads the head of the next frame into r->frame. */
int reader_frame(struct act_reader *r, struct err *e);
/* Its payload into *p, unchecked. */
int reader_bytes(struct act_reader *r, unsigned char **p, size_t *cap, struct err *e);
/* Its payload into r->payload, checksum compared. */
int reader_payload(struct act_reader *r, struct err *e);
int reader_skip_payload(struct act_reader *r, struct err *e);
/* Passes a frame that this version does not know but may skip. */
int reader_ignore(struct act_reader *r, struct err *e);

#endif

/* torch.h - what torch.save writes since PyTorch 1.6: a zip archive of a pickle (data.pkl) and the
   bytes of each storage, stored uncompressed. */
#ifndef GPT_TORCH_H
#define GPT_TORCH_H

#include "base/io.h"
#include "gpt/pickle.h"
#include "gpt/tensors.h"

struct torch_archive;

/* True when the bytes begin as a zip archive does. */
bool torch_is(const unsigned char *p, size_t n);

/* Reads the pickle, not the storages. `path` and the mapped bytes must outlive the archive and the
   tensors taken from it. NULL with *e. */
struct torch_archive *torch_open(const struct io_map *m, const char *path, struct err *e);
void torch_close(struct torch_archive *a); /* NULL is fine */

/* What was saved; valid while the archive is open. */
const struct pickle_value *torch_root(const struct torch_archive *a);

/* Adds every tensor of the dict {name: tensor} for which want(name) is true (what is no tensor is
   passed over). Checks that each lies inside its storage, and the storage inside the file. */
int torch_tensors(struct torch_archive *a, const struct pickle_value *dict,
                  bool (*want)(const char *name), struct tensor_set *set, struct err *e);

#endif

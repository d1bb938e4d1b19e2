/* adamw.h - one step of AdamW (Loshchilov and Hutter, arXiv:1711.05101), with the operations of
   PyTorch's torch.optim.AdamW in the same order, vectorised and on all threads. */
#ifndef NUM_ADAMW_H
#define NUM_ADAMW_H

#include <stddef.h>
#include <stdint.h>

struct num_adamw {
    double lr, beta1, beta2, eps;
    double weight_decay; /* decoupled: w loses lr * weight_decay of itself */
    double grad_scale;   /* gradients count times this: what clipping found */
    int64_t step;        /* 1 for the first: bias correction */
};

/* w, and the moments m and v (0 before the first step), all [n]. g is 0 afterwards, ready to be
   added to. The result does not depend on the number of threads. */
void num_adamw(const struct num_adamw *o, float *w, float *g, float *m, float *v, size_t n);

/* The Euclidean norm of x[n]; summed in double by fixed chunks, so that it does not depend on the
   number of threads. */
double num_norm(const float *x, size_t n);

/* The factor that torch.nn.utils.clip_grad_norm_ applies: max_norm / (norm + 1e-6) where that is
   below 1; max_norm 0: no clipping. */
double num_clip(double norm, double max_norm);

#endif

/* SPDX-License-Identifier: MIT */
/* Port accesses: of a child all are the root's business. The root's own pass through, but for those that run over the
 * last port, which exit on some processors. */
#include "hv/exit/exit.h"

#include "hv/partition/intercept.h"
#include "hv/partition/vp.h"

enum exit_action exit_io(struct vp *vp, const struct exit_io *io)
{
    if (vp->is_root) {
        vp_inject_gp(vp);
        return EXIT_RESUME;
    }
    intercept_io_port(vp, io);
    vp->run_status = VP_RUN_INTERCEPT;
    return EXIT_LEAVE;
}

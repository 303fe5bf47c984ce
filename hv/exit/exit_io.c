/* SPDX-License-Identifier: MIT */
/* Port accesses: of a child all are the root's business; the root's own pass through and never exit. */
#include "hv/exit/exit.h"

#include "hv/partition/intercept.h"
#include "hv/partition/vp.h"

enum exit_action exit_io(struct vp *vp, const struct exit_io *io)
{
    if (vp->is_root) {
        return exit_unexpected(vp, io->port, "port access of the root was intercepted");
    }
    intercept_io_port(vp, io);
    vp->run_status = VP_RUN_INTERCEPT;
    return EXIT_LEAVE;
}

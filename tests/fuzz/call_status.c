/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/call_status.h"

#include <stddef.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/lib/compiler.h"

/* The statuses of each call, as hv/hypercall/hc.h and the headers it names have them. Not here: when they come. */

/* The engine's own, of every call (TLFS, Hypercall Interface). */
static const uint8_t common[] = {
    HV_STATUS_SUCCESS,
    HV_STATUS_INVALID_HYPERCALL_INPUT,
    HV_STATUS_INVALID_ALIGNMENT,
    HV_STATUS_ACCESS_DENIED,
};

#define STATUSES_MAX 9

/* One call; zeros at the end. */
struct call_status {
    uint16_t code;
    uint8_t statuses[STATUSES_MAX];
};

#define PARTITION_ID HV_STATUS_INVALID_PARTITION_ID
#define STATE        HV_STATUS_INVALID_PARTITION_STATE
#define VP_INDEX     HV_STATUS_INVALID_VP_INDEX
#define VP_STATE     HV_STATUS_INVALID_VP_STATE
#define PARAMETER    HV_STATUS_INVALID_PARAMETER
#define DENIED       HV_STATUS_OPERATION_DENIED
#define MEMORY       HV_STATUS_INSUFFICIENT_MEMORY
#define RESOURCES    HV_STATUS_NO_RESOURCES
#define PORT_ID      HV_STATUS_INVALID_PORT_ID
#define CONNECTION   HV_STATUS_INVALID_CONNECTION_ID
#define SYNIC        HV_STATUS_INVALID_SYNIC_STATE
#define BUFFERS      HV_STATUS_INSUFFICIENT_BUFFERS
#define PROPERTY     HV_STATUS_UNKNOWN_PROPERTY
#define RANGE        HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE
#define REGISTER     HV_STATUS_INVALID_REGISTER_VALUE
#define NOT_FOUND    HV_STATUS_NOT_FOUND
#define LP_INDEX     HV_STATUS_INVALID_LP_INDEX
#define DEVICE_ID    HV_STATUS_INVALID_DEVICE_ID
#define FAILED       HV_STATUS_OPERATION_FAILED

static const struct call_status calls[] = {
    {HvCallFlushVirtualAddressSpace, {PARAMETER}},
    {HvCallFlushVirtualAddressList, {PARAMETER}},
    {HvCallFlushVirtualAddressSpaceEx, {PARAMETER}},
    {HvCallFlushVirtualAddressListEx, {PARAMETER}},
    {HvCallGetLogicalProcessorRunTime, {LP_INDEX}},
    {HvCallNotifyLongSpinWait, {0}},
    {HvCallSendSyntheticClusterIpi, {PARAMETER}},
    {HvCallSendSyntheticClusterIpiEx, {PARAMETER}},
    {HvCallCreatePartition, {PARAMETER, DENIED, MEMORY, HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED}},
    {HvCallInitializePartition, {PARTITION_ID, STATE, DENIED, MEMORY}},
    {HvCallFinalizePartition, {PARTITION_ID, STATE, DENIED}},
    {HvCallDeletePartition, {PARTITION_ID, STATE, DENIED}},
    {HvCallGetPartitionProperty, {PARTITION_ID, PROPERTY}},
    {HvCallGetPartitionPropertyEx, {PARTITION_ID, PROPERTY}},
    {HvCallSetPartitionProperty, {PARTITION_ID, PROPERTY, RANGE, STATE, DENIED}},
    {HvCallGetPartitionId, {0}},
    {HvCallDepositMemory, {PARTITION_ID, PARAMETER, STATE}},
    {HvCallWithdrawMemory, {PARTITION_ID, RESOURCES}},
    {HvCallMapGpaPages, {PARTITION_ID, STATE, PARAMETER, MEMORY}},
    {HvCallUnmapGpaPages, {PARTITION_ID, STATE, PARAMETER, MEMORY}},
    {HvCallGetGpaPagesAccessState, {PARTITION_ID, STATE, PARAMETER}},
    {HvCallInstallIntercept, {PARTITION_ID, PARAMETER, DENIED}},
    {HvCallCreateVp, {PARTITION_ID, STATE, VP_INDEX, PARAMETER, MEMORY, DENIED}},
    {HvCallDeleteVp, {PARTITION_ID, STATE, VP_INDEX, DENIED}},
    {HvCallGetVpRegisters, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER}},
    {HvCallSetVpRegisters, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, REGISTER, DENIED}},
    {HvCallTranslateVirtualAddress, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER}},
    {HvCallAssertVirtualInterrupt, {PARTITION_ID, STATE, PARAMETER}},
    {HvCallClearVirtualInterrupt, {PARTITION_ID, STATE}},
    {HvCallCreatePort, {PARTITION_ID, STATE, PORT_ID, PARAMETER, VP_INDEX, MEMORY, RESOURCES}},
    {HvCallDeletePort, {PARTITION_ID, STATE, PORT_ID}},
    {HvCallConnectPort, {PARTITION_ID, STATE, CONNECTION, PORT_ID, PARAMETER, MEMORY, RESOURCES}},
    {HvCallDisconnectPort, {PARTITION_ID, STATE, CONNECTION, PARAMETER}},
    {HvCallPostMessage, {PARAMETER, CONNECTION, PORT_ID, VP_INDEX, SYNIC, BUFFERS}},
    {HvCallSignalEvent, {PARAMETER, CONNECTION, PORT_ID, VP_INDEX, SYNIC}},
    {HvCallPostMessageDirect, {PARTITION_ID, VP_INDEX, PARAMETER, SYNIC, BUFFERS, STATE}},
    {HvCallSignalEventDirect, {PARTITION_ID, VP_INDEX, PARAMETER, SYNIC, STATE}},
    {HvCallNotifyPortRingEmpty, {PARAMETER}},
    {HvCallMapStatsPage, {PARTITION_ID, VP_INDEX, LP_INDEX, PARAMETER, MEMORY, STATE, FAILED}},
    {HvCallUnmapStatsPage, {PARTITION_ID, VP_INDEX, LP_INDEX, PARAMETER, NOT_FOUND}},
    {HvCallSetSystemProperty, {PROPERTY, RANGE, DENIED}},
    {HvCallGetSystemProperty, {PROPERTY}},
    {HvCallMapDeviceInterrupt, {PARTITION_ID, PARAMETER, DEVICE_ID, VP_INDEX, RESOURCES}},
    {HvCallUnmapDeviceInterrupt, {PARTITION_ID, DEVICE_ID, NOT_FOUND}},
    {HvCallEnterSleepState, {PARAMETER, DENIED}},
    {HvCallNotifyPartitionEvent, {PARAMETER, DENIED}},
    {HvCallRegisterInterceptResult, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, RESOURCES, MEMORY}},
    {HvCallStartVirtualProcessor, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, REGISTER}},
    {HvCallGetVpIndexFromApicId, {PARTITION_ID, PARAMETER}},
    {HvCallDispatchVp, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, STATE}},
    {HvCallMapVpStatePage, {PARTITION_ID, VP_INDEX, PARAMETER, MEMORY, STATE, FAILED}},
    {HvCallUnmapVpStatePage, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, NOT_FOUND}},
    {HvCallGetVpState, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, MEMORY}},
    {HvCallSetVpState, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER, MEMORY}},
    {HvCallGetVpCpuidValues, {PARTITION_ID, VP_INDEX, VP_STATE, PARAMETER}},
};

static bool is_listed(const uint8_t *list, size_t count, hv_status_t status)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == status) {
            return true;
        }
    }
    return false;
}

bool call_status_is_expected(uint16_t code, hv_status_t status)
{
    if (is_listed(common, ARRAY_SIZE(common), status)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        if (calls[i].code == code) {
            return is_listed(calls[i].statuses, ARRAY_SIZE(calls[i].statuses), status);
        }
    }
    return status == HV_STATUS_INVALID_HYPERCALL_CODE;
}

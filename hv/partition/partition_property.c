/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/debug/debug.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/time/time.h"

/*
 * Partition properties by code (TLFS 2.0, Partition Properties; public mshv headers). Not here: what they control. A
 * property that exists but cannot be changed here is refused as such, one that nothing here knows as unknown.
 */

hv_status_t partition_get_property(struct partition *partition, uint32_t code, uint64_t *value)
{
    switch (code) {
    case HvPartitionPropertyPrivilegeFlags:
        *value = partition->privileges;
        break;
    case HvPartitionPropertySyntheticProcFeatures:
        *value = partition->synthetic_features;
        break;
    case HvPartitionPropertySuspend:
        *value = 0;
        break;
    case HvPartitionPropertyTimeFreeze:
        *value = READ_ONCE(partition->is_time_frozen);
        break;
    case HvPartitionPropertyReferenceTime:
        *value = reftime_now(partition);
        break;
    case HvPartitionPropertyGpaPageAccessTracking:
        *value = READ_ONCE(partition->tracks_access);
        break;
    case HvPartitionPropertyUnimplementedMsrAction:
        *value = READ_ONCE(partition->unimplemented_msr_action);
        break;
    case HvPartitionPropertyImplementedPhysicalAddressBits:
    case HvPartitionPropertyPhysicalAddressWidth:
        *value = cpuid_physical_bits();
        break;
    case HvPartitionPropertyProcessorVendor:
        *value = backend->processor_vendor;
        break;
    case HvPartitionPropertyProcessorXsaveFeatures:
        *value = cpuid_xsave_features(partition);
        break;
    case HvPartitionPropertyCompatibilityVersion:
        *value = HV_COMPATIBILITY_21_H2;
        break;
    case HvPartitionPropertyXsaveStates:
        *value = cpuid_xcr0_mask(partition);
        break;
    case HvPartitionPropertyMaxXsaveDataSize:
        *value = cpuid_xsave_size(cpuid_xcr0_mask(partition), true);
        break;
    case HvPartitionPropertyProcessorClockFrequency:
        *value = time_tsc_hz();
        break;
    case HvPartitionPropertyProcessorFeatures0:
        *value = cpuid_feature_bank(partition, 0);
        break;
    case HvPartitionPropertyProcessorFeatures1:
        *value = cpuid_feature_bank(partition, 1);
        break;
    case HvPartitionPropertyGuestOsId:
        *value = READ_ONCE(partition->guest_os_id);
        break;
    default:
        return HV_STATUS_UNKNOWN_PROPERTY;
    }
    return HV_STATUS_SUCCESS;
}

/* The features decide what CPUID shows, which must not change once a VP can have looked. */
static hv_status_t set_synthetic_features(struct partition *partition, uint64_t value)
{
    hv_status_t status = HV_STATUS_SUCCESS;

    if ((value & ~cpuid_assignable_features()) != 0) {
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    }
    spin_lock(&partition->lock);
    if (partition->state != PARTITION_CREATED) {
        status = HV_STATUS_INVALID_PARTITION_STATE;
    } else {
        partition->synthetic_features = value;
        partition->privileges = cpuid_child_privileges(value);
    }
    spin_unlock(&partition->lock);
    return status;
}

static hv_status_t set_time_freeze(struct partition *partition, uint64_t value)
{
    if (value > 1) {
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    }
    WRITE_ONCE(partition->is_time_frozen, value != 0);
    reftime_set_frozen(partition, value != 0);
    return HV_STATUS_SUCCESS;
}

hv_status_t partition_set_property(struct partition *partition, uint32_t code, uint64_t value)
{
    uint64_t current;

    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    if (partition->state == PARTITION_FINALIZED) {
        /* What properties act on is being taken apart. */
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    switch (code) {
    case HvPartitionPropertySyntheticProcFeatures:
        return set_synthetic_features(partition, value);
    case HvPartitionPropertyTimeFreeze:
        return set_time_freeze(partition, value);
    case HvPartitionPropertyReferenceTime:
        reftime_set(partition, value);
        return HV_STATUS_SUCCESS;
    case HvPartitionPropertyGpaPageAccessTracking:
        /* The tables keep accessed and dirty state whether it is asked for or not. */
        if (value > 1) {
            return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
        }
        WRITE_ONCE(partition->tracks_access, value != 0);
        return HV_STATUS_SUCCESS;
    case HvPartitionPropertyUnimplementedMsrAction:
        if (value > HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO) {
            return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
        }
        WRITE_ONCE(partition->unimplemented_msr_action, (uint32_t)value);
        return HV_STATUS_SUCCESS;
    default:
        return partition_get_property(partition, code, &current) == HV_STATUS_SUCCESS ? HV_STATUS_OPERATION_DENIED
                                                                                      : HV_STATUS_UNKNOWN_PROPERTY;
    }
}

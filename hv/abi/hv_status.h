/* SPDX-License-Identifier: MIT */
/*
 * Status of a hypercall (TLFS, Hypercall Interface, Hypercall Status Codes).
 * Zero is success; values not listed here have no meaning to any client.
 */
#ifndef ABI_HV_STATUS_H
#define ABI_HV_STATUS_H

#include <stdint.h>

/* Bits 15:0 of the hypercall result word. */
typedef uint16_t hv_status_t;

#define HV_STATUS_SUCCESS                                      0x0000u
#define HV_STATUS_INVALID_HYPERCALL_CODE                       0x0002u
#define HV_STATUS_INVALID_HYPERCALL_INPUT                      0x0003u
#define HV_STATUS_INVALID_ALIGNMENT                            0x0004u
#define HV_STATUS_INVALID_PARAMETER                            0x0005u
#define HV_STATUS_ACCESS_DENIED                                0x0006u
#define HV_STATUS_INVALID_PARTITION_STATE                      0x0007u
#define HV_STATUS_OPERATION_DENIED                             0x0008u
#define HV_STATUS_UNKNOWN_PROPERTY                             0x0009u
#define HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE                  0x000Au
#define HV_STATUS_INSUFFICIENT_MEMORY                          0x000Bu
#define HV_STATUS_PARTITION_TOO_DEEP                           0x000Cu
#define HV_STATUS_INVALID_PARTITION_ID                         0x000Du
#define HV_STATUS_INVALID_VP_INDEX                             0x000Eu
#define HV_STATUS_NOT_FOUND                                    0x0010u
#define HV_STATUS_INVALID_PORT_ID                              0x0011u
#define HV_STATUS_INVALID_CONNECTION_ID                        0x0012u
#define HV_STATUS_INSUFFICIENT_BUFFERS                         0x0013u
#define HV_STATUS_NOT_ACKNOWLEDGED                             0x0014u
#define HV_STATUS_INVALID_VP_STATE                             0x0015u
#define HV_STATUS_ACKNOWLEDGED                                 0x0016u
#define HV_STATUS_INVALID_SAVE_RESTORE_STATE                   0x0017u
#define HV_STATUS_INVALID_SYNIC_STATE                          0x0018u
#define HV_STATUS_OBJECT_IN_USE                                0x0019u
#define HV_STATUS_INVALID_PROXIMITY_DOMAIN_INFO                0x001Au
#define HV_STATUS_NO_DATA                                      0x001Bu
#define HV_STATUS_INACTIVE                                     0x001Cu
#define HV_STATUS_NO_RESOURCES                                 0x001Du
#define HV_STATUS_FEATURE_UNAVAILABLE                          0x001Eu
#define HV_STATUS_PARTIAL_PACKET                               0x001Fu
#define HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED              0x0020u
#define HV_STATUS_PROCESSOR_CACHE_LINE_FLUSH_SIZE_INCOMPATIBLE 0x0030u
/* Not to be mixed up with INSUFFICIENT_BUFFERS. */
#define HV_STATUS_INSUFFICIENT_BUFFER                          0x0033u
#define HV_STATUS_INCOMPATIBLE_PROCESSOR                       0x0037u
#define HV_STATUS_INSUFFICIENT_DEVICE_DOMAINS                  0x0038u
#define HV_STATUS_CPUID_FEATURE_VALIDATION_ERROR               0x003Cu
#define HV_STATUS_CPUID_XSAVE_FEATURE_VALIDATION_ERROR         0x003Du
#define HV_STATUS_PROCESSOR_STARTUP_TIMEOUT                    0x003Eu
#define HV_STATUS_SMX_ENABLED                                  0x003Fu
#define HV_STATUS_INVALID_LP_INDEX                             0x0041u
#define HV_STATUS_INVALID_REGISTER_VALUE                       0x0050u
#define HV_STATUS_INVALID_VTL_STATE                            0x0051u
#define HV_STATUS_NX_NOT_DETECTED                              0x0055u
#define HV_STATUS_INVALID_DEVICE_ID                            0x0057u
#define HV_STATUS_INVALID_DEVICE_STATE                         0x0058u
#define HV_STATUS_PENDING_PAGE_REQUESTS                        0x0059u
#define HV_STATUS_PAGE_REQUEST_INVALID                         0x0060u
#define HV_STATUS_KEY_ALREADY_EXISTS                           0x0065u
#define HV_STATUS_DEVICE_ALREADY_IN_DOMAIN                     0x0066u
#define HV_STATUS_INVALID_CPU_GROUP_ID                         0x006Fu
#define HV_STATUS_INVALID_CPU_GROUP_STATE                      0x0070u
#define HV_STATUS_OPERATION_FAILED                             0x0071u
#define HV_STATUS_NOT_ALLOWED_WITH_NESTED_VIRT_ACTIVE          0x0072u
#define HV_STATUS_INSUFFICIENT_ROOT_MEMORY                     0x0073u
#define HV_STATUS_EVENT_BUFFER_ALREADY_FREED                   0x0074u
#define HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY               0x0075u
/* Internal to continuations: no guest sees it. */
#define HV_STATUS_TIME_OUT                                     0x0078u
/* Asynchronous calls of the root only. */
#define HV_STATUS_CALL_PENDING                                 0x0079u
#define HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY          0x0083u
#define HV_STATUS_VTL_ALREADY_ENABLED                          0x0086u
#define HV_STATUS_UNKNOWN_REGISTER_NAME                        0x0087u

#endif

#include "net/mqtt/broker_acl.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(BrokerAclTest, ASitesDevicesHaveTheirOwnTopicsOnly) {
  EXPECT_EQ(SiteBrokerAcl("plant-1", "gateway-1"),
            "user gateway-1\n"
            "topic readwrite selvedge/v1/plant-1/#\n"
            "\n"
            "pattern write selvedge/v1/plant-1/%u/birth\n"
            "pattern write selvedge/v1/plant-1/%u/state\n"
            "pattern write selvedge/v1/plant-1/%u/event\n"
            "pattern write selvedge/v1/plant-1/%u/result\n"
            "pattern read selvedge/v1/plant-1/%u/ack\n"
            "pattern read selvedge/v1/plant-1/%u/desired\n"
            "pattern read selvedge/v1/plant-1/%u/command\n");
}

TEST(BrokerAclTest, TheCloudsNodesHaveTheirsAndGatewaysTheirSites) {
  EXPECT_EQ(CloudBrokerAcl("control-plane", {{"plant-1", "gateway-1", true}, {"lab", "pi-1"}}),
            "user control-plane\n"
            "topic readwrite selvedge/v1/#\n"
            "\n"
            "user gateway-1\n"
            "topic write selvedge/v1/plant-1/+/birth\n"
            "topic write selvedge/v1/plant-1/+/state\n"
            "topic write selvedge/v1/plant-1/+/event\n"
            "topic write selvedge/v1/plant-1/+/result\n"
            "topic read selvedge/v1/plant-1/+/ack\n"
            "topic read selvedge/v1/plant-1/+/desired\n"
            "topic read selvedge/v1/plant-1/+/command\n"
            "\n"
            "user pi-1\n"
            "topic write selvedge/v1/lab/pi-1/birth\n"
            "topic write selvedge/v1/lab/pi-1/state\n"
            "topic write selvedge/v1/lab/pi-1/event\n"
            "topic write selvedge/v1/lab/pi-1/result\n"
            "topic read selvedge/v1/lab/pi-1/ack\n"
            "topic read selvedge/v1/lab/pi-1/desired\n"
            "topic read selvedge/v1/lab/pi-1/command\n");
}

TEST(BrokerAclTest, WhatIsNoNameBecomesNoRule) {
  for (const char* name : {"", "#", "+", "a/b", "a\ntopic readwrite #", "A", "a b"}) {
    EXPECT_EQ(SiteBrokerAcl(name, "gateway-1"), "") << name;
    EXPECT_EQ(SiteBrokerAcl("plant-1", name), "") << name;
    EXPECT_EQ(CloudBrokerAcl(name, {{"lab", "pi-1"}}), "") << name;
    EXPECT_EQ(CloudBrokerAcl("cp", {{name, "pi-1"}, {"lab", name}}), CloudBrokerAcl("cp", {}))
        << name;
  }
  // A node of the control plane's name would have the control plane's rights.
  EXPECT_EQ(CloudBrokerAcl("cp", {{"lab", "cp"}}), CloudBrokerAcl("cp", {}));
}

}  // namespace
}  // namespace selvedge

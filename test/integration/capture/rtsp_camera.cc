#include "rtsp_camera.h"

#include <gst/rtsp-server/rtsp-server.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace selvedge {

struct RtspCamera::Impl {
  GMainContext* context = g_main_context_new();
  GMainLoop* loop = g_main_loop_new(context, FALSE);
  GstRTSPServer* server = nullptr;
  guint id = 0;
  int port = 0;
  std::atomic<int> set_up{0};
  std::thread thread;

  static void OnSetup(GstRTSPClient*, GstRTSPContext*, gpointer self) {
    ++static_cast<Impl*>(self)->set_up;
  }
  static void OnClient(GstRTSPServer*, GstRTSPClient* client, gpointer self) {
    g_signal_connect(client, "setup-request", G_CALLBACK(OnSetup), self);
  }
  static GstRTSPFilterResult Remove(GstRTSPServer*, GstRTSPClient*, gpointer) {
    return GST_RTSP_FILTER_REMOVE;
  }
  static gboolean Shut(gpointer data) {
    auto* self = static_cast<Impl*>(data);
    GSource* source = g_main_context_find_source_by_id(self->context, self->id);
    if (source != nullptr) g_source_destroy(source);
    gst_rtsp_server_client_filter(self->server, Remove, nullptr);
    g_main_loop_quit(self->loop);
    return G_SOURCE_REMOVE;
  }
};

RtspCamera::RtspCamera(const Options& options) : impl_(std::make_unique<Impl>()) {
  gst_init(nullptr, nullptr);
  impl_->server = gst_rtsp_server_new();
  gst_rtsp_server_set_address(impl_->server, "127.0.0.1");
  gst_rtsp_server_set_service(impl_->server, std::to_string(options.port).c_str());
  std::string launch = "( videotestsrc is-live=true horizontal-speed=2 num-buffers=" +
                       std::to_string(options.frames > 0 ? options.frames : -1) +
                       " ! video/x-raw,format=I420,width=160,height=120,framerate=50/1 ! ";
  launch += options.h264 ? "x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 pt=96"
                         : "jpegenc ! rtpjpegpay name=pay0 pt=26";
  if (options.sound) launch += " audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8";
  launch += " )";
  GstRTSPMediaFactory* factory = gst_rtsp_media_factory_new();
  gst_rtsp_media_factory_set_launch(factory, launch.c_str());
  gst_rtsp_media_factory_set_shared(factory, TRUE);
  if (!options.user.empty()) {
    GstRTSPAuth* auth = gst_rtsp_auth_new();
    GstRTSPToken* token =
        gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, "viewer", nullptr);
    gchar* basic = gst_rtsp_auth_make_basic(options.user.c_str(), options.password.c_str());
    gst_rtsp_auth_add_basic(auth, basic, token);
    g_free(basic);
    gst_rtsp_token_unref(token);
    gst_rtsp_media_factory_add_role(factory, "viewer", GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                    G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                    G_TYPE_BOOLEAN, TRUE, nullptr);
    gst_rtsp_server_set_auth(impl_->server, auth);
    g_object_unref(auth);
  }
  GstRTSPMountPoints* mounts = gst_rtsp_server_get_mount_points(impl_->server);
  gst_rtsp_mount_points_add_factory(mounts, "/camera", factory);
  g_object_unref(mounts);
  g_signal_connect(impl_->server, "client-connected", G_CALLBACK(Impl::OnClient), impl_.get());
  impl_->id = gst_rtsp_server_attach(impl_->server, impl_->context);
  EXPECT_NE(impl_->id, 0u) << "the RTSP server cannot listen on port " << options.port;
  impl_->port = gst_rtsp_server_get_bound_port(impl_->server);
  impl_->thread = std::thread([impl = impl_.get()] { g_main_loop_run(impl->loop); });
}

RtspCamera::~RtspCamera() {
  GSource* source = g_idle_source_new();
  g_source_set_callback(source, Impl::Shut, impl_.get(), nullptr);
  g_source_attach(source, impl_->context);
  g_source_unref(source);
  impl_->thread.join();
  g_object_unref(impl_->server);
  // Clients that were cut off finish in the context.
  while (g_main_context_iteration(impl_->context, FALSE) != FALSE) {
  }
  g_main_loop_unref(impl_->loop);
  g_main_context_unref(impl_->context);
}

int RtspCamera::port() const {
  return impl_->port;
}

std::string RtspCamera::Uri() const {
  return "rtsp://127.0.0.1:" + std::to_string(impl_->port) + "/camera";
}

int RtspCamera::StreamsSetUp() const {
  return impl_->set_up.load();
}

}  // namespace selvedge
